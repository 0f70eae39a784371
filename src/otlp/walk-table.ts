/**
 * What the walk needs to know of each field, as one flat array: a lookup per field, no objects.
 *
 * One row of 32 entries per message of the schema, one entry per field number:
 *
 *   bits 0–2  the wire type of the field; 6, which no field has, where nothing is known
 *   bits 3–   for wire type 2: 0 bytes, 1 text, 2 a span's trace id, 3 its span id,
 *             4 its parent's id; from 5 up a sub-message: its index in the schema plus 5
 */
import { type Field, type FieldKind, type Message, messages, span } from './schema.ts';
import { wire } from './wire-reader.ts';

export const rowBits = 5;
export const unknownField = 6;
export const bytesKind = 0;
export const textKind = 1;
export const traceIdKind = 2;
export const spanIdKind = 3;
export const parentIdKind = 4;
export const messageKind = 5;

export const wireTypeOf: Readonly<Record<FieldKind, number>> = {
  string: wire.bytes,
  bytes: wire.bytes,
  message: wire.bytes,
  bool: wire.varint,
  int32: wire.varint,
  uint32: wire.varint,
  int64: wire.varint,
  enum: wire.varint,
  fixed32: wire.fixed32,
  fixed64: wire.fixed64,
  double: wire.fixed64,
};

const spanIds: Readonly<Record<string, number>> = {
  traceId: traceIdKind,
  spanId: spanIdKind,
  parentSpanId: parentIdKind,
};

export const walkTable: Uint16Array = compile();

function compile(): Uint16Array {
  const table = new Uint16Array(messages.length << rowBits).fill(unknownField);
  for (const message of messages) {
    for (const [number, field] of message.byNumber) {
      if (number >= 1 << rowBits) throw new RangeError(`${field.jsonName}: row too short`);
      const kind = kindOf(message, field);
      table[(message.index << rowBits) | number] = wireTypeOf[field.kind] | (kind << 3);
    }
  }
  return table;
}

function kindOf(message: Message, field: Field): number {
  if (field.message) return field.message.index + messageKind;
  if (field.kind === 'string') return textKind;
  return (message === span ? spanIds[field.jsonName] : undefined) ?? bytesKind;
}
