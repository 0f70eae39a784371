/** An independent reading of messages: protobufjs' own decoder for the .proto files. */
import { join } from 'node:path';
import protobuf from 'protobufjs';

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => join(import.meta.dirname, '../../proto', target);
root.loadSync([
  'opentelemetry/proto/collector/trace/v1/trace_service.proto',
  'google/rpc/status.proto',
  'google/rpc/error_details.proto',
  'grpc/health/v1/health.proto',
]);

export function typeNamed(name: string): protobuf.Type {
  return root.lookupType(name);
}

export const requestType = typeNamed(
  'opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest',
);

export type AnyValueObject = {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: unknown;
  doubleValue?: number;
  arrayValue?: { values?: AnyValueObject[] };
  kvlistValue?: { values?: KeyValueObject[] };
  bytesValue?: Uint8Array;
  stringValueStrindex?: number;
};
export type KeyValueObject = { key?: string; value?: AnyValueObject; keyStrindex?: number };
export type ResourceObject = { attributes?: KeyValueObject[]; [name: string]: unknown };
export type SpanObject = {
  traceId?: Uint8Array;
  spanId?: Uint8Array;
  parentSpanId?: Uint8Array;
  name?: string;
  [name: string]: unknown;
};
export type ScopeSpansObject = { spans?: SpanObject[]; [name: string]: unknown };
export type ResourceSpansObject = {
  resource?: ResourceObject | null;
  scopeSpans?: ScopeSpansObject[];
  schemaUrl?: string;
};
export type RequestObject = { resourceSpans?: ResourceSpansObject[] };

/** Plain objects with only what is set; 64-bit integers as texts. */
export function decodeRequest(message: Uint8Array): RequestObject {
  return requestType.toObject(requestType.decode(message), { longs: String }) as RequestObject;
}

export function encodeRequest(request: RequestObject): Buffer {
  return Buffer.from(requestType.encode(requestType.fromObject(request)).finish());
}

export function spansOf({ scopeSpans = [] }: ResourceSpansObject): SpanObject[] {
  return scopeSpans.flatMap(({ spans = [] }) => spans);
}

/** OTLP's rule that protobuf cannot express. */
export function hasWholeIds({ traceId, spanId, parentSpanId }: SpanObject): boolean {
  const parentBytes = parentSpanId?.length ?? 0;
  return traceId?.length === 16 && spanId?.length === 8 && (parentBytes === 0 || parentBytes === 8);
}

const removedScopes = new protobuf.Field('instrumentationLibrarySpans', 1000, 'bytes', 'repeated');
const oldRequest = protobuf.Root.fromJSON({ nested: {} })
  .add(new protobuf.Type('OldResourceSpans').add(removedScopes))
  .add(
    new protobuf.Type('OldRequest').add(
      new protobuf.Field('resourceSpans', 1, 'OldResourceSpans', 'repeated'),
    ),
  )
  .lookupType('OldRequest');

/** Whether a message that decodes has scopes where they stood before OTLP 0.15. */
export function hasRemovedScopes(message: Uint8Array): boolean {
  const { resourceSpans = [] } = oldRequest.toObject(oldRequest.decode(message));
  return resourceSpans.some((resource: object) => Object.keys(resource).length > 0);
}
