/** Decimal numbers as texts, of any size, to the last digit. */

/** `digits` times ten to the power of `exponent`; in only one way for each value. */
export type Decimal = {
  readonly isNegative: boolean;
  /** Without zeros at either end; empty for zero. */
  readonly digits: string;
  readonly exponent: number;
};

/** As in JSON, but with leading zeros too. */
const shape = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** No double prints this long; a part of this size of a longer text says nothing about it. */
const printedCharsMax = 40;
/** Far longer than any number that is meant; the engine cannot match patterns to endless texts. */
const charsMax = 1_000_000;

export function isDecimal(text: string): boolean {
  return text.length <= charsMax && shape.test(text);
}

/** Undefined for what is no decimal number, or longer than a million characters. */
export function readDecimal(text: string): Decimal | undefined {
  if (text.length > charsMax) return undefined;
  const [, sign, whole = '', fraction = '', exponent = '0'] = shape.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const all = whole + fraction;
  let start = 0;
  let end = all.length;
  while (end > 0 && all[end - 1] === '0') end -= 1;
  while (start < end && all[start] === '0') start += 1;
  return {
    isNegative: sign === '-',
    digits: all.slice(start, end),
    exponent: start === end ? 0 : Number(exponent) - fraction.length + all.length - end,
  };
}

/** Whether a double keeps the number so well that it prints as the same value. */
export function fitsDouble(text: string): boolean {
  if (text.length > printedCharsMax) return false;
  const printed = String(Number(text));
  if (printed === text) return true;
  const before = readDecimal(text);
  const after = readDecimal(printed);
  return (
    before !== undefined &&
    before.isNegative === after?.isNegative &&
    before.exponent === after.exponent &&
    before.digits === after.digits
  );
}
