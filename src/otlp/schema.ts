/**
 * The OTLP messages, read from proto/ once, in the form that walking and transcoding run on.
 *
 * The .proto files are the only place that knows which fields a message has, and of what type.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { wire } from './wire-reader.ts';

const protoDirectory = join(import.meta.dirname, '../../proto');

export type ScalarKind = 'string' | 'bool' | 'int32' | 'uint32' | 'int64' | 'fixed32' | 'fixed64';
export type FieldKind = ScalarKind | 'double' | 'bytes' | 'enum' | 'message';

export type Field = {
  readonly number: number;
  /** The number times eight plus the wire type. */
  readonly tag: number;
  /** The name in OTLP's JSON: lowerCamelCase. */
  readonly jsonName: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  /** The numbers of its oneof's members, itself included; empty outside of a oneof. */
  readonly oneOf: readonly number[];
  /** Trace and span ids: the length in bytes; they are hex in JSON. */
  readonly idBytes: number | undefined;
  readonly message: Message | undefined;
  readonly enumValues: ReadonlyMap<string, number> | undefined;
};

export type Message = {
  readonly name: string;
  /** Counts the messages in the order of their appearance. */
  readonly index: number;
  /** By number, ascending. */
  readonly fields: readonly Field[];
  readonly numberMax: number;
  readonly byNumber: ReadonlyMap<number, Field>;
  /** By lowerCamelCase and by snake_case name, today's and earlier ones. */
  readonly byName: ReadonlyMap<string, Field>;
};

const wireTypeOf: Readonly<Record<FieldKind, number>> = {
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

const idBytesByName: ReadonlyMap<string, number> = new Map([
  ['trace_id', 16],
  ['span_id', 8],
  ['parent_span_id', 8],
]);

/** What JSON called the fields before OTLP 0.15; some clients still do. */
const oldNames: ReadonlyMap<string, string> = new Map([
  ['ResourceSpans.scope_spans', 'instrumentation_library_spans'],
  ['ScopeSpans.scope', 'instrumentation_library'],
]);

const known = new Map<protobuf.Type, Message>();

function messageOf(type: protobuf.Type): Message {
  const before = known.get(type);
  if (before) return before;
  const sorted = type.fieldsArray.toSorted((left, right) => left.id - right.id);
  const fields: Field[] = [];
  const byNumber = new Map<number, Field>();
  const byName = new Map<string, Field>();
  const numberMax = sorted.at(-1)?.id ?? 0;
  const { name } = type;
  const message: Message = { name, index: known.size, fields, numberMax, byNumber, byName };
  // Registered before its fields, since AnyValue contains itself.
  known.set(type, message);
  for (const field of sorted) {
    const described = fieldOf(field.resolve());
    fields.push(described);
    byNumber.set(field.id, described);
    for (const spelled of [field.name, oldNames.get(`${name}.${field.name}`)]) {
      if (spelled === undefined) continue;
      byName.set(protobuf.util.camelCase(spelled), described).set(spelled, described);
    }
  }
  return message;
}

function fieldOf(field: protobuf.Field): Field {
  const { resolvedType } = field;
  const isMessage = resolvedType instanceof protobuf.Type;
  const isEnum = resolvedType instanceof protobuf.Enum;
  const kind = isMessage ? 'message' : isEnum ? 'enum' : (field.type as FieldKind);
  return {
    number: field.id,
    tag: (field.id << 3) | wireTypeOf[kind],
    jsonName: protobuf.util.camelCase(field.name),
    kind,
    repeated: field.repeated,
    oneOf: field.partOf?.fieldsArray.map((member) => member.id) ?? [],
    idBytes: idBytesByName.get(field.name),
    message: isMessage ? messageOf(resolvedType) : undefined,
    enumValues: isEnum ? new Map(Object.entries(resolvedType.values)) : undefined,
  };
}

function loadRoot(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(protoDirectory, target);
  root.loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto', { keepCase: true });
  root.resolveAll();
  return root;
}

const root = loadRoot();

export const exportRequest = messageOf(
  root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest'),
);
export const resourceSpans = messageOf(
  root.lookupType('opentelemetry.proto.trace.v1.ResourceSpans'),
);
export const span = messageOf(root.lookupType('opentelemetry.proto.trace.v1.Span'));
export const keyValue = messageOf(root.lookupType('opentelemetry.proto.common.v1.KeyValue'));
export const anyValue = messageOf(root.lookupType('opentelemetry.proto.common.v1.AnyValue'));

/** Every message that an export request can contain, by its index. */
export const messages: readonly Message[] = [...known.values()];
