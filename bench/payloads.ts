/** The bodies that the load sends, made once before anything is measured. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { createRandom, type KeyValue, llmSpans, type Span } from './llm-spans.ts';
import type { BodySpec } from './rows.ts';

export type Payload = {
  /** The agent it belongs to, named in it or not. */
  readonly agentId: string;
  readonly spans: number;
  /** As inflated protobuf. */
  readonly message: Buffer;
  /** As it is sent. */
  readonly body: Buffer;
};

/** The agents of the project that the benchmark sends to. */
export const agentIds = [
  '0b5bd0f1-6d0e-4c39-9a5e-6a4bb1f7a001',
  '3f6c2c55-0a7e-4e0a-8e7d-1d2f6f3ab002',
  '7d1a9c3e-52b1-4f6c-b8b4-9c0e5ad7c003',
  'c2e84b7a-9f0d-4d38-a1c6-2b7f8e61d004',
] as const;

/** Many enough that no cache of the machine or of the code sees the same bytes all the time. */
const variants = { 1: 64, 512: 8 } as const;

const protoDirectory = join(import.meta.dirname, '../proto');
const traceService = 'opentelemetry/proto/collector/trace/v1/trace_service.proto';

export function loadExportType(): protobuf.Type {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join(protoDirectory, target);
  root.loadSync(traceService);
  return root.lookupType('opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest');
}

/** The same bytes for the same spec in every process. */
export function makePayloads(spec: BodySpec): Payload[] {
  const type = loadExportType();
  return Array.from({ length: variants[spec.spans] }, (_, index) => {
    const agentId = (spec.named ? agentIds[index % agentIds.length] : agentIds[0]) as string;
    const random = createRandom(index * 7919 + spec.spans);
    const attributes = resourceAttributes(`checkout-${random.hex(5)}`, spec.named ? agentId : '');
    const spans = llmSpans(random, spec.spans);
    const message = encode(type, attributes, spans);
    const sent = spec.encoding === 'json' ? jsonOf(attributes, spans) : message;
    const body = spec.compression === 'gzip' ? gzipSync(sent) : sent;
    return { agentId, spans: spec.spans, message, body };
  });
}

/** The instance stands first, so that bodies can be told apart by their first bytes. */
function resourceAttributes(instance: string, agentId: string): KeyValue[] {
  const pairs = [
    ['service.instance.id', instance],
    ['service.name', 'checkout-assistant'],
    ['telemetry.sdk.name', 'opentelemetry'],
    ['telemetry.sdk.language', 'python'],
    ['telemetry.sdk.version', '1.39.0'],
    ['deployment.environment.name', 'production'],
    ['host.name', 'ip-10-12-4-117.internal.example'],
    ...(agentId === '' ? [] : [['mibo.platform_id', agentId]]),
  ] as [string, string][];
  return pairs.map(([key, value]) => ({ key, value: { stringValue: value } }));
}

const scope = { name: 'opentelemetry.instrumentation.openai_v2', version: '2.3b0' };

function encode(type: protobuf.Type, attributes: KeyValue[], spans: Span[]): Buffer {
  const bytes = spans.map((span) => ({
    ...span,
    traceId: Buffer.from(span.traceId, 'hex'),
    spanId: Buffer.from(span.spanId, 'hex'),
    parentSpanId: Buffer.from(span.parentSpanId, 'hex'),
  }));
  const request = {
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope, spans: bytes }] }],
  };
  return Buffer.from(type.encode(type.fromObject(request)).finish());
}

function jsonOf(attributes: KeyValue[], spans: Span[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope, spans }] }],
    }),
  );
}
