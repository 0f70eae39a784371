/** JSON numbers, and texts that hold a number, as protobuf's JSON mapping reads them. */
import { isDecimal, readDecimal } from './decimal.ts';
import { isRawJSON } from './json-text.ts';

const shortInteger = /^-?\d{1,15}$/;

/** More digits than any 64-bit number has; longer ones would take long to convert. */
const digitsMax = 40;
/** Stands for every number that is longer: too large for any field, whatever its digits. */
const beyondAll = 10n ** BigInt(digitsMax);

const notFinite: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/** Exact, as a number where that can be. Undefined for what is not a whole number. */
export function integerOf(value: unknown): number | bigint | undefined {
  // A number that was not kept as raw JSON means what it prints, not what its bits are.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : exact(String(value));
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  return shortInteger.test(text) ? Number(text) : exact(text);
}

function exact(text: string): number | bigint | undefined {
  const decimal = readDecimal(text);
  if (decimal === undefined || decimal.exponent < 0) return undefined;
  const { isNegative, digits, exponent } = decimal;
  if (digits === '') return 0;
  const isBeyond = digits.length + exponent > digitsMax;
  const size = isBeyond ? beyondAll : BigInt(digits + '0'.repeat(exponent));
  return isNegative ? -size : size;
}

/** Undefined for what is no number at all. */
export function doubleOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  const text = isRawJSON(value) ? value.rawJSON : value;
  if (typeof text !== 'string') return undefined;
  return isDecimal(text) ? Number(text) : notFinite.get(text);
}
