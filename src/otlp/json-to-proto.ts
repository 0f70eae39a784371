/**
 * OTLP/JSON → protobuf, driven by the schema
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Reads what real clients
 * write, which is more than the specification allows: ids in base64, enums by name, snake_case
 * names, the names of scopes before OTLP 0.15, integers as numbers or texts, integers beyond 64
 * bits (as doubles), null for what is not there. Unknown fields are ignored; a body of nothing
 * else, and a field under two names, are refused: spans would be lost.
 */
import protobuf from 'protobufjs';
import { misfitAt, refuseOtherBodies } from './json-refusals.ts';
import { exceedsInt64, JsonFault, misfit, writeScalar } from './json-scalars.ts';
import { isJsonObject, type JsonObject, parseJsonAnyDepth } from './json-text.ts';
import { anyValue, exportRequest, type Field, type Message, span } from './schema.ts';
import { depthMax } from './wire-reader.ts';

/** An `ExportTraceServiceRequest`. Throws `GatewayError('malformed')` that names the path. */
export function jsonToProto(text: Buffer): Buffer {
  return jsonValueToProto(parseJsonAnyDepth(text));
}

/** The same from a value that `parseJson` made. */
export function jsonValueToProto(value: unknown): Buffer {
  const transcoder = new Transcoder();
  try {
    transcoder.message(exportRequest, value);
  } catch (thrown) {
    if (thrown instanceof JsonFault) throw misfitAt(transcoder.path, thrown.message);
    throw thrown;
  }
  refuseOtherBodies(value as JsonObject);
  const { buffer, byteOffset, byteLength } = transcoder.writer.finish();
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** The only 64-bit integer of the schema is an attribute's; beyond its range it becomes this. */
const doubleValue = anyValue.byName.get('doubleValue') as Field;

class Transcoder {
  readonly writer = protobuf.Writer.create();
  /** Where in the body the transcoder is, for the hint of a refusal. */
  readonly path: (string | number)[] = [];
  private depth = 0;
  /** The values of the messages that are being written: one list per depth, used over and over. */
  private readonly values: unknown[][] = [];

  message(message: Message, value: unknown): void {
    if (this.depth > depthMax) throw new JsonFault('is nested too deep');
    if (!isJsonObject(value)) throw misfit('an object', value);
    const values = this.valuesByNumber(message, value);
    this.depth += 1;
    for (const field of message.fields) {
      const fieldValue = values[field.number];
      if (fieldValue === undefined || fieldValue === null) continue;
      this.path.push(field.jsonName);
      if (field.repeated) this.list(field, fieldValue);
      else this.single(field, fieldValue);
      this.path.pop();
    }
    this.depth -= 1;
  }

  /**
   * The values that are there, by field number; null is the same as nothing, and is what stands for
   * a member of a oneof that a later one replaced. A field may be there under one name only.
   */
  private valuesByNumber(message: Message, object: JsonObject): readonly unknown[] {
    this.values[this.depth] ??= [];
    const values = this.values[this.depth] as unknown[];
    for (let number = 1; number <= message.numberMax; number += 1) values[number] = undefined;
    for (const name in object) {
      const field = message.byName.get(name);
      const value = object[name];
      if (!field || value === null) continue;
      if (values[field.number] !== undefined) {
        this.path.push(field.jsonName);
        throw new JsonFault('is there under two names: send it under this one only');
      }
      for (const other of field.oneOf) if (values[other] !== undefined) values[other] = null;
      values[field.number] = value;
    }
    if (message === span) requireIds(message, values);
    return values;
  }

  private list(field: Field, values: unknown): void {
    if (!Array.isArray(values)) throw misfit('a list', values);
    for (const [index, value] of values.entries()) {
      this.path.push(index);
      // A null keeps its place, as an empty message.
      this.single(field, value ?? (field.message ? {} : value));
      this.path.pop();
    }
  }

  private single(field: Field, value: unknown): void {
    if (field.message) {
      this.writer.uint32(field.tag).fork();
      this.message(field.message, value);
      this.writer.ldelim();
    } else if (field.kind === 'int64' && exceedsInt64(value)) {
      writeScalar(this.writer, doubleValue, value);
    } else writeScalar(this.writer, field, value);
  }
}

function requireIds(message: Message, values: readonly unknown[]): void {
  for (const field of message.fields) {
    const { jsonName, number, idBytes } = field;
    const isMissing = values[number] === undefined || values[number] === '';
    if (idBytes !== undefined && jsonName !== 'parentSpanId' && isMissing) {
      throw new JsonFault(`has no ${jsonName}: it should be ${idBytes * 2} hex digits`);
    }
  }
}
