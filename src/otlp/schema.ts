/**
 * The OTLP messages, read from proto/ once, in the form that walking and transcoding run on.
 *
 * The .proto files are the only place that knows which fields a message has, and of what type.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';

const protoDirectory = join(import.meta.dirname, '../../proto');

export type ScalarKind = 'string' | 'bool' | 'int32' | 'uint32' | 'int64' | 'fixed32' | 'fixed64';
export type FieldKind = ScalarKind | 'double' | 'bytes' | 'enum' | 'message';

export type Field = {
  readonly number: number;
  /** The name in OTLP's JSON: lowerCamelCase. */
  readonly jsonName: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  /** The members of its oneof, itself included; undefined outside of a oneof. */
  readonly oneOf: readonly string[] | undefined;
  /** Trace and span ids: the length in bytes; they are hex in JSON. */
  readonly idBytes: number | undefined;
  readonly message: Message | undefined;
  readonly enumValues: Readonly<Record<string, number>> | undefined;
};

export type Message = {
  readonly name: string;
  /** Counts the messages in the order of their appearance. */
  readonly index: number;
  readonly byNumber: ReadonlyMap<number, Field>;
  /** By lowerCamelCase and by snake_case name. */
  readonly byName: ReadonlyMap<string, Field>;
};

const idBytesByName: Readonly<Record<string, number>> = {
  trace_id: 16,
  span_id: 8,
  parent_span_id: 8,
};

const known = new Map<protobuf.Type, Message>();

function messageOf(type: protobuf.Type): Message {
  const before = known.get(type);
  if (before) return before;
  const byNumber = new Map<number, Field>();
  const byName = new Map<string, Field>();
  const message: Message = { name: type.name, index: known.size, byNumber, byName };
  // Registered before its fields, since AnyValue contains itself.
  known.set(type, message);
  for (const field of type.fieldsArray) {
    const described = fieldOf(field.resolve());
    byNumber.set(field.id, described);
    byName.set(described.jsonName, described).set(field.name, described);
  }
  return message;
}

function fieldOf(field: protobuf.Field): Field {
  const { resolvedType } = field;
  const isMessage = resolvedType instanceof protobuf.Type;
  const isEnum = resolvedType instanceof protobuf.Enum;
  return {
    number: field.id,
    jsonName: protobuf.util.camelCase(field.name),
    kind: isMessage ? 'message' : isEnum ? 'enum' : (field.type as FieldKind),
    repeated: field.repeated,
    oneOf: field.partOf?.oneof.map(protobuf.util.camelCase),
    idBytes: idBytesByName[field.name],
    message: isMessage ? messageOf(resolvedType) : undefined,
    enumValues: isEnum ? resolvedType.values : undefined,
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

/** Every message that an export request can contain, by its index. */
export const messages: readonly Message[] = [...known.values()];
