/**
 * An independent reader of OTLP: turns bytes into the shape of the fixtures' `expected.json`, which
 * another implementation (Python's) wrote.
 * Field numbers: https://github.com/open-telemetry/opentelemetry-proto
 */
import { hash } from 'node:crypto';
import { allBytes, lastBytes, lastInteger, readFields, type WireField } from './wire.ts';

export type AnyValue = Readonly<Record<string, unknown>>;
export type Attributes = readonly (readonly [string, AnyValue])[];

export type ReadSpan = {
  readonly resource: number;
  readonly scope: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly [field: string]: unknown;
};

export type ReadResource = {
  /** Values of `mibo.platform_id`, in order. */
  readonly platformIds: readonly AnyValue[];
  readonly spans: number;
  readonly scopes: readonly string[];
  readonly schemaUrl: string;
  readonly scopeSchemaUrls: readonly string[];
  readonly attributes: Attributes;
};

export type ReadExport = { readonly resources: ReadResource[]; readonly spans: ReadSpan[] };

export const platformAttribute = 'mibo.platform_id';

export function readExport(message: Buffer): ReadExport {
  const spans: ReadSpan[] = [];
  const resources = allBytes(readFields(message), 1).map((bytes, resource) => {
    const fields = readFields(bytes);
    const attributes = allBytes(fields, 1).flatMap((part) => readAttributes(readFields(part), 1));
    const scopeSpans = allBytes(fields, 2).map((part) => readFields(part));
    const before = spans.length;
    for (const scope of scopeSpans) {
      const name = lastBytes(readFields(lastBytes(scope, 1)), 1).toString();
      for (const span of allBytes(scope, 2)) spans.push(readSpan(span, { resource, scope: name }));
    }
    return {
      platformIds: attributes.filter(([key]) => key === platformAttribute).map(([, it]) => it),
      spans: spans.length - before,
      scopes: scopeSpans.map((scope) => text(readFields(lastBytes(scope, 1)), 1)),
      schemaUrl: text(fields, 3),
      scopeSchemaUrls: scopeSpans.map((scope) => text(scope, 3)),
      attributes,
    };
  });
  return { resources, spans };
}

function readSpan(bytes: Buffer, at: { resource: number; scope: string }): ReadSpan {
  const fields = readFields(bytes);
  const status = readFields(lastBytes(fields, 15));
  return {
    ...at,
    traceId: hex(fields, 1),
    spanId: hex(fields, 2),
    parentSpanId: hex(fields, 4),
    name: text(fields, 5),
    kind: Number(lastInteger(fields, 6)),
    start: String(lastInteger(fields, 7)),
    end: String(lastInteger(fields, 8)),
    traceState: text(fields, 3),
    flags: Number(lastInteger(fields, 16)),
    status: { code: Number(lastInteger(status, 3)), message: text(status, 2) },
    attributes: readAttributes(fields, 9),
    events: allBytes(fields, 11).map(readEvent),
    links: allBytes(fields, 13).map(readLink),
    dropped: [10, 12, 14].map((number) => Number(lastInteger(fields, number))),
  };
}

function readEvent(bytes: Buffer): object {
  const fields = readFields(bytes);
  return {
    name: text(fields, 2),
    time: String(lastInteger(fields, 1)),
    attributes: readAttributes(fields, 3),
  };
}

function readLink(bytes: Buffer): object {
  const fields = readFields(bytes);
  return {
    traceId: hex(fields, 1),
    spanId: hex(fields, 2),
    traceState: text(fields, 3),
    flags: Number(lastInteger(fields, 6)),
    attributes: readAttributes(fields, 4),
  };
}

function readAttributes(fields: readonly WireField[], number: number): Attributes {
  return allBytes(fields, number).map((bytes) => {
    const entry = readFields(bytes);
    return [text(entry, 1), readValue(lastBytes(entry, 2))] as const;
  });
}

/** The oneof of AnyValue: the last member that stands there. */
function readValue(bytes: Buffer): AnyValue {
  const member = readFields(bytes).findLast(({ number }) => number >= 1 && number <= 7);
  switch (member?.number) {
    case 1:
      return textValue(member.bytes);
    case 2:
      return { bool: member.integer !== 0n };
    case 3:
      return { int: String(BigInt.asIntN(64, member.integer ?? 0n)) };
    case 4:
      return { double: member.raw.readDoubleLE(1) };
    case 5:
      return { array: allBytes(readFields(member.bytes), 1).map(readValue) };
    case 6:
      return { kvlist: readAttributes(readFields(member.bytes), 1) };
    case 7:
      return { bytes: member.bytes.toString('hex') };
    default:
      return { empty: true };
  }
}

/** `expected.json` holds long texts as their length and hash. */
const textCharsMax = 300;

export function textValue(bytes: Buffer): AnyValue {
  const string = bytes.toString();
  const stringChars = [...string].length;
  if (stringChars <= textCharsMax) return { string };
  return { stringChars, stringSha256: hash('sha256', bytes, 'hex') };
}

function text(fields: readonly WireField[], number: number): string {
  return lastBytes(fields, number).toString();
}

function hex(fields: readonly WireField[], number: number): string {
  return lastBytes(fields, number).toString('hex');
}

/** One resource and its spans without the stamp, comparable across a split. */
export function contentOf(read: ReadExport, index: number): object {
  const { platformIds: _, ...resource } = read.resources[index] as ReadResource;
  return {
    ...resource,
    attributes: resource.attributes.filter(([key]) => key !== platformAttribute),
    spanContents: read.spans
      .filter((span) => span.resource === index)
      .map(({ resource: _at, ...span }) => span),
  };
}

/** `expected.json` writes doubles as Python does: `nan`, `inf`, `1.0`. */
export function withDoubles<T>(expected: T): T {
  return JSON.parse(JSON.stringify(expected), function revive(key, value) {
    if (key !== 'double' || typeof value !== 'string') return value;
    if (value === 'nan') return Number.NaN;
    if (value === 'inf') return Number.POSITIVE_INFINITY;
    return value === '-inf' ? Number.NEGATIVE_INFINITY : Number(value);
  });
}

/**
 * One ResourceSpans as the raw bytes of its fields, in order, without any `mibo.platform_id`: two
 * of them are equal exactly if nothing but the stamp differs.
 */
export function withoutStamp(resourceSpans: Buffer): string[] {
  return readFields(resourceSpans).flatMap((field) => {
    if (field.number !== 1) return [field.raw.toString('hex')];
    return readFields(field.bytes).flatMap((inner) => {
      const isStamp = inner.number === 1 && text(readFields(inner.bytes), 1) === platformAttribute;
      return isStamp ? [] : [`resource ${inner.raw.toString('hex')}`];
    });
  });
}
