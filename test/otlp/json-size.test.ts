/** Bodies of many tiny values are refused before they are parsed; long texts are not. */
import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/otlp/otlp.ts';

const large = 4_000_000;

describe('a JSON body', () => {
  test.each([
    ['objects', `{"x":[${'{},'.repeat(1_100_000)}{}]}`],
    ['numbers', `{"x":[${'1,'.repeat(1_100_000)}1]}`],
    ['lists, nested or not', '['.repeat(2_100_000)],
    ['values behind strings that end in backslashes', `["\\\\","\\"",${'1,'.repeat(1_100_000)}1]`],
  ])('of more than a million %s is too large', (_what, text) => {
    expect(() => parseJson(Buffer.from(text))).toThrowError(
      expect.objectContaining({ kind: 'payload_too_large' }),
    );
  });

  test.each([
    ['commas', ','],
    ['brackets', '[{'],
    ['escaped quotes', '\\"'],
    ['escaped backslashes', '\\\\'],
  ])('may hold a long text of %s', (_what, piece) => {
    const text = `{"a":"${piece.repeat(large / piece.length)}","b":[1,2]}`;
    expect(parseJson(Buffer.from(text))).toMatchObject({ b: [1, 2] });
  });

  test('that never ends its last string gets the words of the parser', () => {
    expect(() => parseJson(Buffer.from(`{"a":"${'x'.repeat(large)}`))).toThrowError(
      expect.objectContaining({ kind: 'malformed' }),
    );
  });
});
