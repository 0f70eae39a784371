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

export function isDecimal(text: string): boolean {
  return shape.test(text);
}

/** Undefined for what is no decimal number. */
export function readDecimal(text: string): Decimal | undefined {
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
