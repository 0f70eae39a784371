/**
 * Writes the resolved agent into a resource: afterwards its attribute stands there exactly once.
 *
 *   ResourceSpans   0a len ┐ new length
 *     Resource      0a len ┤ new length
 *       …attributes        │ as they were, without the entries that name a target
 *       KeyValue    0a len ┘ new: the agent
 *     ScopeSpans …           as they were, untouched slices
 *
 * Everything else stays byte for byte and in its order, fields that nothing here knows included.
 */
import { delimitedField, eachField, fieldHeader, type Range } from './fields.ts';
import { Pieces } from './pieces.ts';
import { attributeTag, hasKey, resourceTag } from './resource-target.ts';
import { resourceSpansTag, type WalkedResource } from './walk.ts';

export type Stamp = {
  readonly attribute: string;
  /** The attribute as a whole field of `Resource`. */
  readonly field: Buffer;
};

export function createStamp(attribute: string, agentId: string): Stamp {
  const key = delimitedField(0x0a, Buffer.from(attribute));
  const value = delimitedField(0x12, delimitedField(0x0a, Buffer.from(agentId)));
  return { attribute, field: delimitedField(attributeTag, key, value) };
}

/** The whole `ResourceSpans` field in pieces, stamped. */
export function stampResource(message: Buffer, resource: WalkedResource, stamp: Stamp): Pieces {
  const body = new Pieces(message);
  const range = { start: resource.bodyStart, end: resource.end };
  let added: Buffer | undefined = stamp.field;
  eachField(message, range, (tag, content, fieldStart) => {
    if (tag !== resourceTag) {
      body.addSlice(fieldStart, content.end);
      return;
    }
    const kept = keptFields(message, content, stamp.attribute);
    if (added) kept.add(added);
    added = undefined;
    body.add(fieldHeader(resourceTag, kept.byteLength), ...kept.finish());
  });
  const whole = new Pieces(message);
  const front = added ? delimitedField(resourceTag, added) : Buffer.alloc(0);
  whole.add(fieldHeader(resourceSpansTag, front.length + body.byteLength), front);
  whole.add(...body.finish());
  return whole;
}

/** A `Resource`'s content without the entries of the attribute. */
function keptFields(message: Buffer, resource: Range, attribute: string): Pieces {
  const kept = new Pieces(message);
  eachField(message, resource, (tag, content, fieldStart) => {
    if (tag === attributeTag && hasKey(message, content, attribute)) return;
    kept.addSlice(fieldStart, content.end);
  });
  return kept;
}
