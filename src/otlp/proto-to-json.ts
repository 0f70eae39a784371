/**
 * Protobuf → OTLP/JSON, driven by the schema
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Lossless for every field
 * that the schema knows: ids in hex, 64-bit integers as texts, enums as numbers, bytes in base64,
 * NaN and the infinities as texts.
 *
 * Protobuf's merge rules hold: a repeated scalar's last value counts, repeated messages merge, and
 * setting a member of a oneof clears the others.
 */
import { GatewayError } from '../core/errors.ts';
import { rawJSON } from './json-text.ts';
import { exportRequest, type Field, type Message } from './schema.ts';
import { depthMax, WireFault, WireReader } from './wire-reader.ts';

/** A message as an object of OTLP/JSON. */
export type JsonMessage = { [name: string]: unknown };

/** Throws `GatewayError('malformed')`; never for a body that was walked. */
export function protoToJson(message: Buffer): Buffer {
  return Buffer.from(JSON.stringify(readExport(message)));
}

/** The same as an object. */
export function readExport(message: Buffer): JsonMessage {
  try {
    return new JsonReader(message).message(exportRequest, {}, message.length);
  } catch (thrown) {
    if (!(thrown instanceof WireFault)) throw thrown;
    const hint = `send a valid protobuf trace export (${thrown.message})`;
    throw new GatewayError('malformed', hint, { cause: thrown });
  }
}

class JsonReader extends WireReader {
  private depth = 0;

  /** Reads up to `end` into `into`, which may hold what an earlier occurrence set. */
  message(message: Message, into: JsonMessage, end: number): JsonMessage {
    if (this.depth > depthMax) throw new WireFault(this.pos, 'messages are nested too deep');
    this.depth += 1;
    while (this.pos < end) {
      const tag = this.tag(end);
      const field = message.byNumber.get(tag >>> 3);
      if (field?.tag !== tag) {
        this.skipUnknown(tag, end, this.depth - 1);
        continue;
      }
      if (field.oneOf.length > 0) clearOthers(message, field, into);
      const before = into[field.jsonName];
      const value = field.message
        ? this.message(field.message, earlier(field, before), this.fieldEnd(end))
        : this.scalar(field, end);
      if (Array.isArray(before)) before.push(value);
      else into[field.jsonName] = field.repeated ? [value] : value;
      if (isDefault(field, value)) delete into[field.jsonName];
    }
    this.depth -= 1;
    return into;
  }

  private scalar(field: Field, end: number): unknown {
    switch (field.kind) {
      case 'string':
        return this.slice(end).toString('utf8');
      case 'bytes':
        return this.slice(end).toString(field.idBytes === undefined ? 'base64' : 'hex');
      case 'bool':
        return this.varint64(end) !== 0n;
      case 'int64':
        return String(BigInt.asIntN(64, this.varint64(end)));
      case 'int32':
      case 'enum':
        return Number(BigInt.asIntN(32, this.varint64(end)));
      case 'uint32':
        return Number(BigInt.asUintN(32, this.varint64(end)));
      case 'fixed32':
        return this.bytes.readUInt32LE(this.fixed(end, 4));
      case 'fixed64':
        return String(this.bytes.readBigUInt64LE(this.fixed(end, 8)));
      default:
        return jsonDouble(this.bytes.readDoubleLE(this.fixed(end, 8)));
    }
  }

  private slice(end: number): Buffer {
    const sliceEnd = this.fieldEnd(end);
    const slice = this.bytes.subarray(this.pos, sliceEnd);
    this.pos = sliceEnd;
    return slice;
  }

  private fixed(end: number, size: number): number {
    const start = this.pos;
    this.skipFixed(end, size);
    return start;
  }
}

/** What a further occurrence of a message field merges into. */
function earlier(field: Field, before: unknown): JsonMessage {
  return field.repeated || before === undefined ? {} : (before as JsonMessage);
}

function clearOthers(message: Message, field: Field, into: JsonMessage): void {
  for (const name in into) {
    const isOther = message.byName.get(name)?.oneOf.includes(field.number);
    if (isOther && name !== field.jsonName) delete into[name];
  }
}

/** Defaults are left out, except in a oneof, where they say which member is set. */
function isDefault(field: Field, value: unknown): boolean {
  if (field.repeated || field.oneOf.length > 0) return false;
  // A 64-bit zero is the text 0; a name may be that too.
  return value === (field.kind === 'fixed64' ? '0' : '') || value === 0 || value === false;
}

function jsonDouble(value: number): unknown {
  if (!Number.isFinite(value)) return String(value);
  // JSON.stringify would write 0.
  return Object.is(value, -0) ? rawJSON('-0.0') : value;
}
