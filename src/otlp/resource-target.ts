/**
 * Which target a `ResourceSpans` names, and where its attribute entries stand.
 *
 * Reads bytes that the walk has already found to be well-formed. Protobuf's merge rules hold
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins): `Resource` fields of one
 * `ResourceSpans` merge, of repeated attributes the last one counts, of a repeated key the last
 * one, `AnyValue`s merge, and of the members of their oneof the last one that was set counts.
 */
import { absentTarget, type NamedTarget, targetOfText } from '../core/target.ts';
import { eachField, type Range } from './fields.ts';
import { WireReader, wire } from './wire-reader.ts';

// Fields of ResourceSpans, Resource and KeyValue, as tags.
export const resourceTag = (1 << 3) | wire.bytes;
export const attributeTag = (1 << 3) | wire.bytes;
const keyTag = (1 << 3) | wire.bytes;
const valueTag = (2 << 3) | wire.bytes;
const stringTag = (1 << 3) | wire.bytes;
const boolTag = (2 << 3) | wire.varint;
const intTag = (3 << 3) | wire.varint;
const doubleTag = (4 << 3) | wire.fixed64;
const foundByTag: ReadonlyMap<number, string> = new Map([
  [(5 << 3) | wire.bytes, 'a list'],
  [(6 << 3) | wire.bytes, 'a map'],
  [(7 << 3) | wire.bytes, 'bytes'],
]);
/** An index into another signal's string table; OTLP asks to treat the value as empty. */
const stringIndexTag = (8 << 3) | wire.varint;

/** Anything longer is no UUID; a hint shows less. */
const namedBytesMax = 256;

export type ReadTarget = {
  readonly target: NamedTarget;
  /** It stands in exactly one entry, which holds a key, a string and nothing else. */
  readonly plain: boolean;
};

const nothing: ReadTarget = { target: absentTarget, plain: false };

/** `body` is the content of a `ResourceSpans`. */
export function readTarget(bytes: Buffer, body: Range, attribute: string): ReadTarget {
  let found = nothing;
  let entries = 0;
  eachField(bytes, body, (tag, resource) => {
    if (tag !== resourceTag) return;
    eachField(bytes, resource, (entryTag, entry) => {
      if (entryTag !== attributeTag || !hasKey(bytes, entry, attribute)) return;
      found = readEntry(bytes, entry);
      entries += 1;
    });
  });
  return entries > 1 ? { target: found.target, plain: false } : found;
}

/** Whether the `KeyValue` in `entry` has this key; without a key its key is empty. */
export function hasKey(bytes: Buffer, entry: Range, attribute: string): boolean {
  let matches = attribute === '';
  eachField(bytes, entry, (tag, key) => {
    if (tag === keyTag) matches = isText(bytes, key, attribute);
  });
  return matches;
}

function isText(bytes: Buffer, { start, end }: Range, text: string): boolean {
  // Most keys differ in length already; only then is a string made.
  return end - start === Buffer.byteLength(text) && bytes.toString('utf8', start, end) === text;
}

function readEntry(bytes: Buffer, entry: Range): ReadTarget {
  let target = absentTarget;
  let fields = 0;
  eachField(bytes, entry, (tag, value) => {
    fields += 1;
    if (tag !== valueTag) return;
    eachField(bytes, value, (memberTag, member) => {
      fields += 1;
      target = readMember(bytes, memberTag, member) ?? target;
    });
  });
  return { target, plain: fields === 3 && target.kind === 'named' };
}

/** Undefined for a field that `AnyValue` does not have. */
function readMember(bytes: Buffer, tag: number, { start, end }: Range): NamedTarget | undefined {
  if (tag === stringTag) {
    return targetOfText(bytes.toString('utf8', start, Math.min(end, start + namedBytesMax)));
  }
  if (tag === stringIndexTag) return absentTarget;
  const found = describe(bytes, tag, start);
  return found === undefined ? undefined : { kind: 'unusable', found };
}

function describe(bytes: Buffer, tag: number, start: number): string | undefined {
  if (tag === doubleTag) return `the number ${bytes.readDoubleLE(start)}`;
  if (tag !== boolTag && tag !== intTag) return foundByTag.get(tag);
  const value = new WireReader(bytes, start).varint64(bytes.length);
  return tag === boolTag ? String(value !== 0n) : `the integer ${BigInt.asIntN(64, value)}`;
}
