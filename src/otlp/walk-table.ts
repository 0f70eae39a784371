/**
 * What the walk does with each field, as one flat array: a lookup per tag, no objects.
 *
 * Each message of the schema has a row of 256 actions, one per tag, so it holds field numbers up to
 * 31. A tag without an action is an unknown field; so is a known number with another wire type.
 */
import { type Field, type Message, messages, span } from './schema.ts';
import { wire } from './wire-reader.ts';

/** The row of a message is its index shifted by this. */
export const rowBits = 8;

export const actions = {
  unknown: 0,
  varint: 1,
  fixed64: 2,
  fixed32: 3,
  // From here on a length follows the tag.
  bytes: 4,
  text: 5,
  traceId: 6,
  spanId: 7,
  parentId: 8,
  // From here on a sub-message: its index in the schema plus this.
  message: 9,
} as const;

const spanIdActions: Readonly<Record<string, number>> = {
  traceId: actions.traceId,
  spanId: actions.spanId,
  parentSpanId: actions.parentId,
};

export const walkTable: Uint8Array = compile();

function compile(): Uint8Array {
  const table = new Uint8Array(messages.length << rowBits);
  for (const message of messages) {
    for (const field of message.fields) {
      if (field.tag >> rowBits > 0) throw new RangeError(`${field.jsonName} does not fit a row`);
      table[(message.index << rowBits) | field.tag] = actionOf(message, field);
    }
  }
  return table;
}

function actionOf(message: Message, field: Field): number {
  if (field.message) return field.message.index + actions.message;
  if (field.kind === 'string') return actions.text;
  const wireType = field.tag & 7;
  if (wireType === wire.varint) return actions.varint;
  if (wireType === wire.fixed64) return actions.fixed64;
  if (wireType === wire.fixed32) return actions.fixed32;
  return (message === span ? spanIdActions[field.jsonName] : undefined) ?? actions.bytes;
}
