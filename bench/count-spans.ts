/**
 * Counts the spans of an export request by its own short walk, which shares no code with the
 * gateway: request → resource_spans (1) → scope_spans (2) → spans (2).
 */

type Reader = { readonly bytes: Buffer; at: number };

/** Throws `RangeError` on bytes that are not a well-formed message down to its spans. */
export function countSpans(message: Buffer): number {
  return countAt({ bytes: message, at: 0 }, { end: message.length, path: [1, 2, 2] });
}

function countAt(reader: Reader, level: { end: number; path: readonly number[] }): number {
  const [wanted, ...below] = level.path;
  let count = 0;
  while (reader.at < level.end) {
    const tag = readVarint(reader);
    const end = fieldEnd(reader, tag & 7);
    if (end > level.end) throw new RangeError(`field ends at ${end}, beyond ${level.end}`);
    if (tag >>> 3 === wanted && (tag & 7) === 2) {
      count += below.length === 0 ? 1 : countAt(reader, { end, path: below });
    }
    reader.at = end;
  }
  return count;
}

function fieldEnd(reader: Reader, wireType: number): number {
  if (wireType === 2) {
    const length = readVarint(reader);
    return reader.at + length;
  }
  if (wireType === 0) {
    readVarint(reader);
    return reader.at;
  }
  if (wireType === 1) return reader.at + 8;
  if (wireType === 5) return reader.at + 4;
  throw new RangeError(`wire type ${wireType} at ${reader.at}`);
}

function readVarint(reader: Reader): number {
  let value = 0;
  for (let factor = 1; ; factor *= 128) {
    const byte = reader.bytes[reader.at];
    if (byte === undefined) throw new RangeError(`cut off at ${reader.at}`);
    reader.at += 1;
    value += (byte & 127) * factor;
    if (byte < 128) return value;
  }
}
