/** JSON numbers, and texts that hold a number, as protobuf's JSON mapping reads them. */
import { isRawJSON } from './json-text.ts';

const digits = /^-?\d+$/;
const decimal = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** With a sign or without, a number this long is exact. */
const safeDigitsMax = 15;

/** More digits than any 64-bit number has; longer ones would take long to convert. */
const digitsMax = 40;

const notFinite: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** As a number where that is exact. Undefined for what is not a whole number. */
export function integerOf(value: unknown): number | bigint | undefined {
  if (typeof value === 'number') return wholeOf(value);
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  if (!digits.test(text)) return decimal.test(text) ? wholeOf(Number(text)) : undefined;
  return text.length <= safeDigitsMax || text.length > digitsMax
    ? wholeOf(Number(text))
    : BigInt(text);
}

function wholeOf(value: number): number | bigint | undefined {
  if (!Number.isInteger(value)) return undefined;
  return Number.isSafeInteger(value) ? value : BigInt(value);
}

/** Undefined for what is no number at all. */
export function doubleOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  return decimal.test(text) ? Number(text) : notFinite.get(text);
}
