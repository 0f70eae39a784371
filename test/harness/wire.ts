/**
 * The protobuf wire format, read and written by hand: what the tests believe about bytes must not
 * rest on the code that they test. Groups are not supported; no fixture holds one.
 * https://protobuf.dev/programming-guides/encoding/
 */

export type WireField = {
  readonly number: number;
  /** Varint and fixed values as an unsigned integer; undefined for length-delimited fields. */
  readonly integer: bigint | undefined;
  /** Content of a length-delimited field; empty for the others. */
  readonly bytes: Buffer;
  /** Tag, length and content, as they stand. */
  readonly raw: Buffer;
};

export function readFields(message: Buffer): WireField[] {
  const found: WireField[] = [];
  let at = 0;
  while (at < message.length) {
    const start = at;
    const tag = readVarint(message, at);
    at = tag.end;
    const content = readContent(message, at, Number(tag.value & 7n));
    at = content.end;
    const { integer, bytes } = content;
    const raw = message.subarray(start, at);
    found.push({ number: Number(tag.value >> 3n), integer, bytes, raw });
  }
  return found;
}

type Content = { integer: bigint | undefined; bytes: Buffer; end: number };
const nothing = Buffer.alloc(0);

function readContent(message: Buffer, at: number, wireType: number): Content {
  if (wireType === 0) {
    const { value, end } = readVarint(message, at);
    return { integer: value, bytes: nothing, end };
  }
  if (wireType === 1) {
    return { integer: message.readBigUInt64LE(at), bytes: nothing, end: at + 8 };
  }
  if (wireType === 5) {
    return { integer: BigInt(message.readUInt32LE(at)), bytes: nothing, end: at + 4 };
  }
  if (wireType !== 2) throw new Error(`wire type ${wireType} at ${at}`);
  const length = readVarint(message, at);
  const end = length.end + Number(length.value);
  if (end > message.length) throw new Error(`length runs over the end at ${at}`);
  return { integer: undefined, bytes: message.subarray(length.end, end), end };
}

function readVarint(message: Buffer, at: number): { value: bigint; end: number } {
  let value = 0n;
  for (let index = 0; index < 10; index += 1) {
    const byte = message[at + index];
    if (byte === undefined) throw new Error(`varint is cut off at ${at}`);
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: at + index + 1 };
  }
  throw new Error(`varint of more than 10 bytes at ${at}`);
}

export function writeVarint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

export function writeBytes(number: number, content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([writeVarint((number << 3) | 2), writeVarint(bytes.length), bytes]);
}

export function writeInteger(number: number, value: number | bigint): Buffer {
  return Buffer.concat([writeVarint(number << 3), writeVarint(value)]);
}

export function writeFixed64(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([writeVarint((number << 3) | 1), bytes]);
}

/** The last value of a field, as protobuf reads it; empty or 0 where it is absent. */
export function lastBytes(fields: readonly WireField[], number: number): Buffer {
  return fields.findLast((field) => field.number === number)?.bytes ?? nothing;
}

export function lastInteger(fields: readonly WireField[], number: number): bigint {
  return fields.findLast((field) => field.number === number)?.integer ?? 0n;
}

export function allBytes(fields: readonly WireField[], number: number): Buffer[] {
  return fields.filter((field) => field.number === number).map((field) => field.bytes);
}
