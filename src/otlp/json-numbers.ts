/** JSON numbers, and texts that hold a number, as protobuf's JSON mapping reads them. */
import { isRawJSON } from './json-text.ts';

const digits = /^-?\d+$/;
const decimal = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** More digits than any 64-bit number has; longer ones would take long to convert. */
const digitsMax = 40;

const notFinite: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** Undefined for what is not a whole number. */
export function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined;
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  if (digits.test(text) && text.length <= digitsMax) return BigInt(text);
  const float = decimal.test(text) ? Number(text) : Number.NaN;
  return Number.isInteger(float) ? BigInt(float) : undefined;
}

/** Undefined for what is no number at all. */
export function doubleOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  return decimal.test(text) ? Number(text) : notFinite.get(text);
}
