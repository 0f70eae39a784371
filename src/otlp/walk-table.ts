/**
 * What the walk does with each field, as one flat array: a lookup per tag, no objects.
 *
 * A row of 256 actions per message of the schema, one for each tag that fits one or two bytes of
 * varint with a value below 256. Whatever has no action of its own is an unknown field, and so is a
 * known field number with another wire type.
 */
import { type Field, type FieldKind, type Message, messages, span } from './schema.ts';
import { wire } from './wire-reader.ts';

/** The row of a message is its index shifted by this. */
export const rowBits = 8;

export const unknownAction = 0;
export const varintAction = 1;
export const fixed64Action = 2;
export const fixed32Action = 3;
// From here on a length follows the tag.
export const bytesAction = 4;
export const textAction = 5;
export const traceIdAction = 6;
export const spanIdAction = 7;
export const parentIdAction = 8;
/** From here on a sub-message: its index in the schema plus this. */
export const messageAction = 9;

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

const spanIdActions: Readonly<Record<string, number>> = {
  traceId: traceIdAction,
  spanId: spanIdAction,
  parentSpanId: parentIdAction,
};

export const walkTable: Uint8Array = compile();

function compile(): Uint8Array {
  const table = new Uint8Array(messages.length << rowBits);
  for (const message of messages) {
    for (const [number, field] of message.byNumber) {
      const tag = (number << 3) | wireTypeOf[field.kind];
      if (tag >> rowBits > 0) throw new RangeError(`${field.jsonName}: its tag exceeds the row`);
      table[(message.index << rowBits) | tag] = actionOf(message, field);
    }
  }
  return table;
}

function actionOf(message: Message, field: Field): number {
  if (field.message) return field.message.index + messageAction;
  if (field.kind === 'string') return textAction;
  const wireType = wireTypeOf[field.kind];
  if (wireType === wire.varint) return varintAction;
  if (wireType === wire.fixed64) return fixed64Action;
  if (wireType === wire.fixed32) return fixed32Action;
  return (message === span ? spanIdActions[field.jsonName] : undefined) ?? bytesAction;
}
