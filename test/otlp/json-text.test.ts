import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { parseJson } from '../../src/otlp/otlp.ts';

function rewritten(text: string): string {
  return JSON.stringify(parseJson(Buffer.from(text)));
}

function hint(body: Buffer | string): string {
  try {
    parseJson(Buffer.from(body));
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.kind === 'malformed') return thrown.hint;
    throw thrown;
  }
  throw new Error('it was accepted');
}

/** By hand: sign, digits and exponent of each number of the list `a`, without needless zeros. */
function exactNumbers(text: string): string[] {
  const list = text.slice(text.indexOf('['));
  return [...list.matchAll(/(-?)(\d+)\.?(\d*)(?:[eE]([+-]?\d+))?/g)].map(
    ([, sign = '', whole = '', fraction = '', exponent = '0']) => {
      const digits = (whole + fraction).replace(/^0+/, '');
      const significant = digits.replace(/0+$/, '');
      const zeros = digits.length - significant.length;
      if (significant === '') return `${sign}0`;
      return `${sign}${significant}e${Number(exponent) - fraction.length + zeros}`;
    },
  );
}

describe('nothing is lost when JSON is read and written again:', () => {
  test.each([
    '{"a":12345678901234567890,"b":-9007199254740993,"c":[18446744073709551615]}',
    '{"a":1e400,"b":1e-7,"c":0.1,"d":9007199254740991}',
    '[123456789012345678901234567890]',
    '{"__proto__":{"a":1},"constructor":{"prototype":{}}}',
    '{"text":"12345678901234567890","colon":": 12345678901234567890"}',
    '[-0,-0.0,-0e5,{"a":-0.00},-0]',
    '[1e-400,-1e-400,1e-320,1.23456e-320,0.00000000000000000000000000000001e-300]',
    '[123456789012345678.5,1.23456789012345678,0.1000000000000000055511151231257827]',
    '[9007199254740993e0,1.7976931348623159e308,12345678901234567.8e-5]',
    '-0',
    '12345678901234567890',
    '{"b":1,"a":{"":[null,true,false,"\\u0000\\"\\\\"]}}',
  ])('%s', (text) => {
    expect(rewritten(text)).toBe(text);
  });

  test.each([
    ['[1.0,1e2,5E-1,-0.5,0.0]', '[1,100,0.5,-0.5,0]'],
    ['[0.30000000000000004,1700000000.123456,1152921504606847000]', undefined],
    ['{"a":0.1234567890123450000,"b":1e005}', '{"a":0.123456789012345,"b":100000}'],
    [`[1.${'0'.repeat(60)}e1]`, undefined],
  ])('a number that means the same may be written in another way: %s', (text, written) => {
    expect(rewritten(text)).toBe(written ?? text);
  });

  test('any number in any place', () => {
    const number = fc.stringMatching(/^-?(0|[1-9]\d{0,19})(\.\d{1,19})?([eE][+-]?\d{1,3})?$/);
    const json = number.map((digits) => `{"text":"${digits}","a": [ ${digits},\n${digits} ]}`);
    fc.assert(
      fc.property(json, (text) => {
        const before = exactNumbers(text);
        expect(exactNumbers(rewritten(text))).toEqual(before);
      }),
      { numRuns: 2000 },
    );
  });

  test('millions of digits', () => {
    const digits = '1'.repeat(20_000_000);
    expect(rewritten(`[${digits}]`) === `[${digits}]`).toBe(true);
    expect(rewritten(`[0.${digits}]`) === `[0.${digits}]`).toBe(true);
  });

  test('__proto__ is a key like any other', () => {
    const parsed = parseJson(Buffer.from('{"__proto__":{"polluted":true}}'));
    expect(parsed).not.toHaveProperty('polluted');
    expect(Object.keys(parsed as object)).toEqual(['__proto__']);
  });

  test('a byte order mark is skipped', () => {
    expect(rewritten('\ufeff{"a":1}')).toBe('{"a":1}');
  });
});

describe('what is not JSON is refused with the reason and the place:', () => {
  test.each([
    ['', 'unexpected end at character 0'],
    ['{"a":', 'unexpected end at character 5'],
    ['{"a":1,}', 'expected double-quoted property name at character 7'],
    ['[1 2]', "expected ',' or ']' after array element at character 3"],
    ["{'a':1}", "expected property name or '}' at character 1"],
    ['{"a":1}x', 'unexpected non-whitespace character at character 7'],
    ['{"a":tru}', "unexpected token '}' at character 8"],
    ['not json at all, and long enough', "unexpected token 'o' at character 1"],
    ['{"spans":[{"attributes":[}]}', "unexpected token '}' at character 25"],
    ['{"a":"x', 'unterminated string at character 7'],
  ])('%s', (text, what) => {
    expect(hint(text)).toBe(`send valid JSON: ${what}`);
  });

  test('bytes that are not UTF-8', () => {
    expect(hint(Buffer.from([0x22, 0xff, 0x22]))).toMatch(/^send JSON as UTF-8/);
  });

  test('nesting without end', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(parseJson(Buffer.from(nested(400)))).toBeTruthy();
    expect(hint(nested(401))).toMatch(/^nest less deep/);
    expect(hint(nested(900_000))).toMatch(/^nest less deep/);
    const withDigits = `{"a":12345678901234567890,"b":${nested(900_000)}}`;
    expect(hint(withDigits)).toMatch(/^nest less deep/);
  });
});
