/** Builds OTLP export requests, in protobuf and in JSON, from what a test wants to say. */
import { randomBytes } from 'node:crypto';
import { writeBytes, writeFixed64, writeInteger } from './wire.ts';

export type ResourceToSend = {
  /** Value of `mibo.platform_id`; undefined leaves the attribute out. */
  readonly platformId?: string | undefined;
  readonly spans?: number;
  /** Bytes of an attribute of each span, to make a request large. */
  readonly paddingBytes?: number;
};

export type SpanToSend = { readonly traceId: Buffer; readonly spanId: Buffer };

/** An export request in both encodings, with the ids of its spans per resource. */
export type ExportToSend = {
  readonly proto: Buffer;
  readonly json: Buffer;
  readonly spanIds: readonly (readonly string[])[];
};

const startNano = 1_700_000_000_000_000_000n;

export function makeExport(...resources: readonly ResourceToSend[]): ExportToSend {
  const built = resources.map((resource) => {
    const spans = Array.from({ length: resource.spans ?? 1 }, () => ({
      traceId: randomBytes(16),
      spanId: randomBytes(8),
    }));
    return { resource, spans };
  });
  return {
    proto: Buffer.concat(built.map((it) => writeBytes(1, protoResource(it.resource, it.spans)))),
    json: Buffer.from(
      JSON.stringify({ resourceSpans: built.map((it) => jsonResource(it.resource, it.spans)) }),
    ),
    spanIds: built.map((it) => it.spans.map(({ spanId }) => spanId.toString('hex'))),
  };
}

function protoResource(resource: ResourceToSend, spans: readonly SpanToSend[]): Buffer {
  const attributes = attributesOf(resource).map(([key, value]) => protoText(1, key, value));
  const scope = writeBytes(1, writeBytes(1, 'journey'));
  return Buffer.concat([
    writeBytes(1, Buffer.concat(attributes)),
    writeBytes(
      2,
      Buffer.concat([scope, ...spans.map((span) => writeBytes(2, protoSpan(resource, span)))]),
    ),
  ]);
}

function protoSpan(resource: ResourceToSend, span: SpanToSend): Buffer {
  const { paddingBytes = 0 } = resource;
  return Buffer.concat([
    writeBytes(1, span.traceId),
    writeBytes(2, span.spanId),
    writeBytes(5, 'step'),
    writeInteger(6, 1),
    writeFixed64(7, startNano),
    writeFixed64(8, startNano + 1_000_000n),
    ...(paddingBytes > 0 ? [protoText(9, 'padding', 'x'.repeat(paddingBytes))] : []),
  ]);
}

function protoText(number: number, key: string, value: string): Buffer {
  const any = writeBytes(2, writeBytes(1, value));
  return writeBytes(number, Buffer.concat([writeBytes(1, key), any]));
}

function jsonResource(resource: ResourceToSend, spans: readonly SpanToSend[]): object {
  const { paddingBytes = 0 } = resource;
  return {
    resource: { attributes: attributesOf(resource).map(([key, value]) => jsonText(key, value)) },
    scopeSpans: [
      {
        scope: { name: 'journey' },
        spans: spans.map(({ traceId, spanId }) => ({
          traceId: traceId.toString('hex'),
          spanId: spanId.toString('hex'),
          name: 'step',
          kind: 1,
          startTimeUnixNano: String(startNano),
          endTimeUnixNano: String(startNano + 1_000_000n),
          attributes: paddingBytes > 0 ? [jsonText('padding', 'x'.repeat(paddingBytes))] : [],
        })),
      },
    ],
  };
}

function jsonText(key: string, value: string): object {
  return { key, value: { stringValue: value } };
}

function attributesOf(resource: ResourceToSend): [string, string][] {
  const attributes: [string, string][] = [['service.name', 'journey']];
  if (resource.platformId !== undefined) attributes.push(['mibo.platform_id', resource.platformId]);
  return attributes;
}
