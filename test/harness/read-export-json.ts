/**
 * The same reading as `read-export.ts`, of OTLP/JSON as the specification writes it: ids in hex,
 * 64-bit integers as strings, bytes in base64.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
import {
  type AnyValue,
  type Attributes,
  platformAttribute,
  type ReadExport,
  type ReadSpan,
  textValue,
} from './read-export.ts';

type Fields = Readonly<Record<string, unknown>>;

export function readExportJson(body: Buffer): ReadExport {
  const { resourceSpans = [] } = JSON.parse(body.toString()) as { resourceSpans?: Fields[] };
  const spans: ReadSpan[] = [];
  const resources = resourceSpans.map((entry, resource) => {
    const attributes = readAttributes((entry.resource as Fields | undefined)?.attributes);
    const scopeSpans = list(entry.scopeSpans);
    const before = spans.length;
    for (const scope of scopeSpans) {
      const at = { resource, scope: scopeName(scope) };
      for (const span of list(scope.spans)) spans.push(readSpan(span, at));
    }
    return {
      platformIds: attributes.filter(([key]) => key === platformAttribute).map(([, it]) => it),
      spans: spans.length - before,
      scopes: scopeSpans.map(scopeName),
      schemaUrl: text(entry.schemaUrl),
      scopeSchemaUrls: scopeSpans.map((scope) => text(scope.schemaUrl)),
      attributes,
    };
  });
  return { resources, spans };
}

function scopeName(scopeSpans: Fields): string {
  return text((scopeSpans.scope as Fields | undefined)?.name);
}

function readSpan(span: Fields, at: { resource: number; scope: string }): ReadSpan {
  const status = (span.status ?? {}) as Fields;
  return {
    ...at,
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId),
    name: text(span.name),
    kind: whole(span.kind),
    start: int64(span.startTimeUnixNano),
    end: int64(span.endTimeUnixNano),
    traceState: text(span.traceState),
    flags: whole(span.flags),
    status: { code: whole(status.code), message: text(status.message) },
    attributes: readAttributes(span.attributes),
    events: list(span.events).map((event) => ({
      name: text(event.name),
      time: int64(event.timeUnixNano),
      attributes: readAttributes(event.attributes),
    })),
    links: list(span.links).map((link) => ({
      traceId: hex(link.traceId),
      spanId: hex(link.spanId),
      traceState: text(link.traceState),
      flags: whole(link.flags),
      attributes: readAttributes(link.attributes),
    })),
    dropped: [
      whole(span.droppedAttributesCount),
      whole(span.droppedEventsCount),
      whole(span.droppedLinksCount),
    ],
  };
}

function readAttributes(attributes: unknown): Attributes {
  return list(attributes).map(({ key, value }) => [text(key), readValue(value)] as const);
}

function readValue(value: unknown): AnyValue {
  const [member] = Object.entries((value ?? {}) as Fields);
  if (member === undefined) return { empty: true };
  const [name, content] = member;
  switch (name) {
    case 'stringValue':
      return textValue(Buffer.from(content as string));
    case 'boolValue':
      return { bool: content };
    case 'intValue':
      return { int: int64(content) };
    case 'doubleValue':
      return { double: Number(content) };
    case 'bytesValue':
      return { bytes: Buffer.from(content as string, 'base64').toString('hex') };
    case 'arrayValue':
      return { array: list((content as Fields).values).map(readValue) };
    case 'kvlistValue':
      return { kvlist: readAttributes((content as Fields).values) };
    default:
      throw new Error(`no such member of AnyValue: ${name}`);
  }
}

function list(value: unknown): Fields[] {
  return (value ?? []) as Fields[];
}

function text(value: unknown): string {
  if (value !== undefined && typeof value !== 'string') throw new Error(`${value} is not a text`);
  return value ?? '';
}

function hex(value: unknown): string {
  const id = text(value);
  if (!/^[0-9a-f]*$/.test(id)) throw new Error(`${id} is not lower-case hex`);
  return id;
}

/** A number here would have lost digits on its way. */
function int64(value: unknown): string {
  const digits = text(value) || '0';
  if (!/^-?\d+$/.test(digits)) throw new Error(`${digits} is not an integer`);
  return digits;
}

function whole(value: unknown): number {
  if (value !== undefined && typeof value !== 'number') throw new Error(`${value} is no number`);
  return value ?? 0;
}
