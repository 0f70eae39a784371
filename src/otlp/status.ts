/** `google.rpc.Status`, `google.rpc.RetryInfo` and `grpc.health.v1`, as bytes. */
import protobuf from 'protobufjs';
import type { Encoding } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';
import { delimitedField } from './fields.ts';
import { WireReader, wire } from './wire-reader.ts';

export type RpcStatus = {
  /** A gRPC status code. */
  readonly code: number;
  readonly message: string;
};

const codeTag = (1 << 3) | wire.varint;
const messageTag = (2 << 3) | wire.bytes;
const detailsTag = (3 << 3) | wire.bytes;
const retryInfoType = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');

/** The body of an error answer over HTTP; `details` stay empty. */
export function encodeStatus(encoding: Encoding, { code, message }: RpcStatus): Buffer {
  if (encoding === 'json') return Buffer.from(JSON.stringify({ code, message }));
  const writer = protobuf.Writer.create();
  if (code !== 0) writer.uint32(codeTag).int32(code);
  if (message !== '') writer.uint32(messageTag).string(message);
  return Buffer.from(writer.finish());
}

export type RetryDetails = {
  /** A `google.rpc.Status` whose details hold the retry info: `grpc-status-details-bin`. */
  readonly status: Buffer;
  /** The `google.rpc.RetryInfo` alone: `google.rpc.retryinfo-bin`. */
  readonly retryInfo: Buffer;
};

/** Go, .NET and Rust read the retry time from the status, Python from the retry info alone. */
export function encodeRetryDetails(status: RpcStatus, retryAfterMs: number): RetryDetails {
  const seconds = Math.floor(retryAfterMs / 1000);
  const nanos = Math.round((retryAfterMs - seconds * 1000) * 1e6);
  const duration = protobuf.Writer.create();
  if (seconds > 0) duration.uint32((1 << 3) | wire.varint).int64(seconds);
  if (nanos > 0) duration.uint32((2 << 3) | wire.varint).int32(nanos);
  const retryInfo = delimitedField(0x0a, Buffer.from(duration.finish()));
  const any = [delimitedField(0x0a, retryInfoType), delimitedField(0x12, retryInfo)];
  const details = delimitedField(detailsTag, ...any);
  return { status: Buffer.concat([encodeStatus('proto', status), details]), retryInfo };
}

/** Values of grpc.health.v1.HealthCheckResponse.ServingStatus. */
const servingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;

export type HealthStatus = keyof typeof servingStatus;

/** A `HealthCheckResponse`. */
export function encodeHealthStatus(status: HealthStatus): Buffer {
  return Buffer.from([0x08, servingStatus[status]]);
}

/** The service that a `HealthCheckRequest` asks about. Throws `GatewayError('malformed')`. */
export function decodeHealthRequest(message: Buffer): string {
  let service = '';
  try {
    const reader = new WireReader(message);
    while (reader.pos < message.length) {
      const tag = reader.tag(message.length);
      if (tag === 0x0a) {
        const end = reader.fieldEnd(message.length);
        service = message.toString('utf8', reader.pos, end);
        reader.pos = end;
      } else reader.skipUnknown(tag, message.length, 0);
    }
  } catch (cause) {
    throw new GatewayError('malformed', 'send a valid HealthCheckRequest', { cause });
  }
  return service;
}
