/**
 * The wire language, pure: no I/O, no state, no clock.
 *
 * Promises
 * - `walkExport` validates every byte of an export request without decoding a span, and accepts
 *   exactly what protobufjs' decoder accepts, plus one rule of OTLP: trace ids have 16 bytes, span
 *   ids 8. All-zero ids are let through. Spans that nothing here would see are refused rather than
 *   lost: a body of unknown fields only, and a resource with scopes as OTLP before 0.15 had them.
 * - `splitByAgent` gives each agent its resources, byte for byte as they came but for the one
 *   attribute that names the agent, which then stands there exactly once.
 * - `jsonToProto` and `protoToJson` are lossless for every field of OTLP 1.11, and the former reads
 *   what real clients write beyond the specification.
 * - Only `GatewayError` is thrown; its hint says what to change, and where in the body.
 *
 * Does not: decide which agent a resource belongs to (routing), decompress (receiver), or keep a
 * byte after it returned. Buffers it returns may be slices of the ones it was given.
 */
export { firstTraceId } from './first-trace-id.ts';
export { parseJson } from './json-text.ts';
export { jsonToProto, jsonValueToProto } from './json-to-proto.ts';
export { protoToJson } from './proto-to-json.ts';
export {
  decodeExportResponse,
  encodeExportResponse,
} from './responses.ts';
export { type Signal, type SignalName, signals } from './signals.ts';
export { type AgentShare, splitByAgent } from './split.ts';
export {
  decodeHealthRequest,
  encodeHealthStatus,
  encodeRetryDetails,
  encodeStatus,
  type HealthStatus,
  type RetryDetails,
  type RpcStatus,
} from './status.ts';
export { summarizeTraces, type TraceSummary } from './trace-summary.ts';
export { type WalkedExport, type WalkedResource, walkExport } from './walk.ts';
