/**
 * A look over JSON text before it is parsed. Parsing cannot be interrupted, and tiny values cost a
 * hundred times their text in memory: 60 MiB of `{},` would hold up every other request for
 * seconds. So the number of values is bounded, by a scan that costs a fraction of the parsing.
 */
import { GatewayError } from '../core/errors.ts';

/** Eight thousand spans of thirty attributes or so. */
const valuesMax = 1_000_000;
/** A value and what parts it from the next one take two bytes, so less text is never too much. */
const scannedBytesMin = valuesMax * 2;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openingBrace = 0x7b;
const openingBracket = 0x5b;

/** Throws `payload_too_large`. Invalid JSON passes: the parser says what is wrong. */
export function requireModestJson(bytes: Buffer): void {
  if (bytes.length < scannedBytesMin) return;
  let values = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) at = stringEnd(bytes, at);
    else if (byte === comma || byte === openingBrace || byte === openingBracket) values += 1;
    if (values > valuesMax) throw tooMany();
  }
}

/** Where the string ends whose first quote stands at `start`. */
function stringEnd(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(quote, start + 1); end >= 0; end = bytes.indexOf(quote, end + 1)) {
    let before = end - 1;
    while (bytes[before] === backslash) before -= 1;
    // An even number of backslashes escape one another, not the quote.
    if ((end - before) % 2 === 1) return end;
  }
  return bytes.length;
}

function tooMany(): GatewayError {
  return new GatewayError(
    'payload_too_large',
    `send smaller batches, or protobuf: payload too large, JSON may hold ${valuesMax} values`,
  );
}
