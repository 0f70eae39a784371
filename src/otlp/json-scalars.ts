/** Single values of OTLP/JSON, checked and written as protobuf. */
import protobuf from 'protobufjs';
import { doubleOf, integerOf } from './json-numbers.ts';
import { isRawJSON } from './json-text.ts';
import type { Field, FieldKind } from './schema.ts';

type Writer = protobuf.Writer;

/** A value that does not fit its field; the message continues the field's path: `should be …`. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault';
}

/** Says what stands there without showing it: a body can hold what must not be in a log. */
export function misfit(expected: string, value: unknown): JsonFault {
  return new JsonFault(`should be ${expected}, but is ${describe(value)}`);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `a string of ${value.length} characters`;
  if (typeof value === 'number' || isRawJSON(value)) return 'a number';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** Writes tag and value; a default value is left out where proto3 has no presence for it. */
export function writeScalar(writer: Writer, field: Field, value: unknown): void {
  // Only scalars get here; messages are the transcoder's.
  const write = writers[field.kind as Exclude<FieldKind, 'message'>];
  write(writer, field, value);
}

type Write = (writer: Writer, field: Field, value: unknown) => void;

const writers: Readonly<Record<Exclude<FieldKind, 'message'>, Write>> = {
  string: (writer, field, value) => {
    if (typeof value !== 'string') throw misfit('a string', value);
    // A lone surrogate has no UTF-8, and a single one would make the whole message unreadable.
    if (value !== '' || hasPresence(field)) tagged(writer, field).string(value.toWellFormed());
  },
  bool: (writer, field, value) => {
    if (typeof value !== 'boolean') throw misfit('true or false', value);
    if (value || hasPresence(field)) tagged(writer, field).bool(value);
  },
  bytes: (writer, field, value) => {
    const bytes = field.idBytes === undefined ? bytesOf(value) : idOf(value, field.idBytes);
    if (bytes.length > 0 || hasPresence(field)) tagged(writer, field).bytes(bytes);
  },
  double: (writer, field, value) => {
    const double = doubleOf(value);
    if (double === undefined) throw misfit('a number', value);
    if (!Object.is(double, 0) || hasPresence(field)) tagged(writer, field).double(double);
  },
  enum: (writer, field, value) => {
    const named = typeof value === 'string' ? field.enumValues?.get(value) : undefined;
    writeInt32(writer, field, named ?? value);
  },
  int32: writeInt32,
  uint32: (writer, field, value) => {
    const integer = Number(integerIn(uint32Range, value));
    if (integer !== 0 || hasPresence(field)) tagged(writer, field).uint32(integer);
  },
  fixed32: (writer, field, value) => {
    const integer = Number(integerIn(uint32Range, value));
    if (integer !== 0 || hasPresence(field)) tagged(writer, field).fixed32(integer);
  },
  int64: (writer, field, value) => {
    const integer = integerIn(int64Range, value);
    if (integer || hasPresence(field)) tagged(writer, field).int64(longOf(integer));
  },
  fixed64: (writer, field, value) => {
    const integer = integerIn(uint64Range, value);
    if (integer || hasPresence(field)) tagged(writer, field).fixed64(longOf(integer));
  },
};

function writeInt32(writer: Writer, field: Field, value: unknown): void {
  const integer = Number(integerIn(int32Range, value));
  if (integer !== 0 || hasPresence(field)) tagged(writer, field).int32(integer);
}

function hasPresence(field: Field): boolean {
  return field.oneOf.length > 0 || field.repeated;
}

function tagged(writer: Writer, field: Field): Writer {
  return writer.uint32(field.tag);
}

type Range = { readonly min: number | bigint; readonly max: number | bigint };

const int32Range = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const uint32Range = { min: 0, max: 2 ** 32 - 1 };
const int64Range = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const uint64Range = { min: 0, max: 2n ** 64n - 1n };

/** Whether `intValue` has to become a double: JS clients write any number there. */
export function exceedsInt64(value: unknown): boolean {
  const integer = integerOf(value);
  if (integer === undefined) return doubleOf(value) !== undefined;
  return integer < int64Range.min || integer > int64Range.max;
}

function integerIn({ min, max }: Range, value: unknown): number | bigint {
  const integer = integerOf(value);
  if (integer === undefined) throw misfit('a whole number', value);
  if (integer < min || integer > max) {
    throw new JsonFault(`should be a whole number from ${min} to ${max}`);
  }
  return integer;
}

function longOf(value: number | bigint): number | protobuf.Long {
  if (typeof value === 'number') return value;
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  return new protobuf.util.Long(low, high, false);
}

const hex = /^[0-9a-fA-F]*$/;
/** With either alphabet, with or without padding. */
const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

function bytesOf(value: unknown): Buffer {
  const bytes = fromBase64(value);
  if (bytes === undefined) throw misfit('base64', value);
  return bytes;
}

/** Undefined for what is no base64: `Buffer` would leave out what it cannot read. */
function fromBase64(value: unknown): Buffer | undefined {
  if (typeof value !== 'string' || !base64.test(value)) return undefined;
  const padding = value.indexOf('=');
  const digits = padding < 0 ? value.length : padding;
  // A last digit alone has 6 bits: no byte.
  return digits % 4 === 1 ? undefined : Buffer.from(value, 'base64');
}

/** Ids are hex in OTLP/JSON; protobuf's own mapping writes base64, whose length tells it apart. */
function idOf(value: unknown, idBytes: number): Buffer {
  if (value === '') return Buffer.alloc(0);
  const isHex = typeof value === 'string' && value.length === idBytes * 2 && hex.test(value);
  const bytes = isHex ? Buffer.from(value, 'hex') : fromBase64(value);
  if (bytes?.length !== idBytes) throw misfit(`${idBytes * 2} hex digits`, value);
  return bytes;
}
