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

describe('nothing is lost when JSON is read and written again:', () => {
  test.each([
    '{"a":12345678901234567890,"b":-9007199254740993,"c":[18446744073709551615]}',
    '{"a":1e400,"b":1e-7,"c":0.1,"d":9007199254740991}',
    '[123456789012345678901234567890]',
    '{"__proto__":{"a":1},"constructor":{"prototype":{}}}',
    '{"text":"12345678901234567890","colon":": 12345678901234567890"}',
    '{"b":1,"a":{"":[null,true,false,"\\u0000\\"\\\\"]}}',
  ])('%s', (text) => {
    expect(rewritten(text)).toBe(text);
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
    expect(hint(nested(1_000_000))).toMatch(/^nest less deep/);
    const withDigits = `{"a":12345678901234567890,"b":${nested(1_000_000)}}`;
    expect(hint(withDigits)).toMatch(/^nest less deep/);
  });
});
