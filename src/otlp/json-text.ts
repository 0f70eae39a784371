/**
 * JSON text as values, with nothing lost: numbers that a double would print as another value come
 * back as raw JSON, which `JSON.stringify` writes again digit for digit.
 *
 * Does not: check any shape. Key order and the last of repeated keys are as in `JSON.parse`.
 */
import { isUtf8 } from 'node:buffer';
import { GatewayError } from '../core/errors.ts';
import { fitsDouble } from './decimal.ts';
import { requireModestJson } from './json-size.ts';

/** A number whose digits a double cannot hold. */
export type RawNumber = { readonly rawJSON: string };

type ReviveContext = { readonly source?: string };
type Revive = (key: string, value: unknown, context: ReviveContext) => unknown;

// ES2026 (https://github.com/tc39/proposal-json-parse-with-source); not in the library types yet.
const json = JSON as unknown as {
  parse(text: string, revive?: Revive): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

export const { rawJSON, isRawJSON } = json;

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawJSON(value);
}

/** Objects and lists may nest this deep: more than any trace needs, less than a stack holds. */
const jsonDepthMax = 400;

/**
 * The numbers that might not print as they came: 16 digits or more, exponents of three digits, and
 * negative zeros. With fewer digits, and far from the ends of their range, doubles are exact in
 * print. Digits inside of strings may look alike; then the slow way is taken in vain.
 */
const suspects =
  /[[:,]\s*(-?\d[\d.]{15,40}(?:[eE][+-]?\d+)?|-?\d[\d.]*[eE][+-]?\d{3,}|-0[.0]*(?![.\d]))/g;
/** A body that is only a number; looking for it everywhere would slow the search down. */
const loneNumber = /^\s*-?\d/;

function isLossy(text: string): boolean {
  for (const [, number = ''] of text.matchAll(suspects)) {
    if (!fitsDouble(number)) return true;
  }
  return loneNumber.test(text);
}

/** Throws `GatewayError('malformed')` with the position. */
export function parseJson(text: Buffer): unknown {
  const parsed = parseJsonAnyDepth(text);
  if (isDeeper(parsed, jsonDepthMax)) throw tooDeep();
  return parsed;
}

/** For a reader that bounds the depth itself. Too many values are `payload_too_large`. */
export function parseJsonAnyDepth(bytes: Buffer): unknown {
  requireModestJson(bytes);
  if (!isUtf8(bytes)) {
    throw new GatewayError('malformed', 'send JSON as UTF-8: the body holds bytes that are not');
  }
  const decoded = bytes.toString('utf8');
  // A byte order mark is not JSON, but some tools on Windows begin with it.
  const text = decoded.startsWith('\uFEFF') ? decoded.slice(1) : decoded;
  try {
    return json.parse(text, isLossy(text) ? keepDigits : undefined);
  } catch (thrown) {
    if (thrown instanceof RangeError) throw tooDeep();
    throw new GatewayError('malformed', describeFault(text, thrown), { cause: thrown });
  }
}

const keepDigits: Revive = (_key, value, { source }) => {
  if (typeof value !== 'number' || source === undefined) return value;
  return fitsDouble(source) ? value : rawJSON(source);
};

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const key in value) {
    if (isDeeper((value as Record<string, unknown>)[key], levels - 1)) return true;
  }
  return false;
}

function tooDeep(): GatewayError {
  return new GatewayError(
    'malformed',
    `nest less deep: objects and lists may nest ${jsonDepthMax} levels`,
  );
}

/** The engine's words without the piece of the body that they may quote. */
function describeFault(text: string, thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : '';
  const what = message.split(/ of JSON input| in JSON| after JSON|, (?:\.\.\.)?"/)[0] ?? '';
  return `send valid JSON: ${what.toLowerCase()} at character ${positionOf(text, message)}`;
}

/** An unexpected token is shown with ten characters on each side instead of its position. */
const tokenInContext = /^Unexpected token '(.)', (\.\.\.)?"(.*)"(\.\.\.)? is not valid JSON$/su;

function positionOf(text: string, message: string): number {
  const stated = /at position (\d+)/.exec(message)?.[1];
  if (stated !== undefined) return Number(stated);
  const [found, token = '', before, shown = '', after] = tokenInContext.exec(message) ?? [];
  if (found === undefined) return text.length;
  if (before !== undefined) return text.indexOf(shown) + 10;
  return after === undefined ? text.lastIndexOf(token) : shown.length - 10;
}
