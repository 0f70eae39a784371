/**
 * Results and refusals as they go on the wire. The one place that renders; both protocols and
 * Your API read the same rows of the error table here.
 */
import type { Encoding } from '../core/delivery.ts';
import type { GatewayError } from '../core/errors.ts';
import type { ExportResult, LimitState, TracesApiResult } from '../core/incoming.ts';
import { encodeExportResponse, encodeRetryDetails, encodeStatus } from '../otlp/otlp.ts';
import { acceptedEncodings, contentTypes } from './content.ts';

/** `headers` is flat: name, value, name, value. Length and request id are the server's to add. */
export type Answer = {
  readonly status: number;
  /** Undefined for the standard phrase. */
  readonly reason: string | undefined;
  readonly headers: string[];
  readonly body: Buffer;
};

/** Longer waits make the JS exporters give up. */
const retryAfterMsMax = 3000;
const reasonCharsMax = 120;

/** https://opentelemetry.io/docs/specs/otlp/#otlphttp-response */
export function renderExport(encoding: Encoding, result: ExportResult): Answer {
  return {
    status: 200,
    reason: undefined,
    headers: ['Content-Type', contentTypes[encoding]],
    body: encodeExportResponse(encoding, result),
  };
}

export function renderTracesApi(result: TracesApiResult): Answer {
  if (result.kind === 'export') return renderExport(result.encoding, result.result);
  const headers = ['Content-Type', asciiLine(result.contentType)];
  if (result.warning !== undefined) headers.push('x-mibo-warning', asciiLine(result.warning));
  return { status: result.status, reason: undefined, headers, body: result.body };
}

/** A google.rpc.Status in the request's encoding; JSON where that is unknown. */
export function renderError(encoding: Encoding | undefined, error: GatewayError): Answer {
  const spoken = encoding ?? 'json';
  return {
    status: error.row.http,
    reason: reasonOf(error),
    headers: ['Content-Type', contentTypes[spoken], ...refusalHeaders(error)],
    body: encodeStatus(spoken, { code: error.row.grpc, message: error.message }),
  };
}

/** Mibo's own shape, always JSON. */
export function renderTracesApiError(error: GatewayError, wallMs: number): Answer {
  const shape = {
    success: false,
    error: { code: error.row.code, message: error.hint, details: error.details },
    timestamp: new Date(wallMs).toISOString(),
  };
  return {
    status: error.row.http,
    reason: reasonOf(error),
    headers: ['Content-Type', contentTypes.json, ...refusalHeaders(error)],
    body: Buffer.from(JSON.stringify(shape)),
  };
}

/**
 * The headers of a trailers-only response (grpc/doc/PROTOCOL-HTTP2.md). RetryInfo goes out twice:
 * Go, .NET and Rust read it in the status details, Python as a trailer of its own.
 */
export function renderGrpcError(error: GatewayError): Record<string, string> {
  const { message, retryAfterMs } = error;
  const headers: Record<string, string> = {
    'grpc-status': String(error.row.grpc),
    'grpc-message': percentEncode(message),
  };
  if (error.kind === 'unsupported_encoding') {
    headers['grpc-accept-encoding'] = acceptedEncodings.replaceAll(' ', '');
  }
  if (retryAfterMs === undefined) return headers;
  const details = encodeRetryDetails({ code: error.row.grpc, message }, capped(retryAfterMs));
  headers['grpc-status-details-bin'] = unpaddedBase64(details.status);
  headers['google.rpc.retryinfo-bin'] = unpaddedBase64(details.retryInfo);
  return headers;
}

/**
 * What the key may send per second and has left of it
 * (draft-ietf-httpapi-ratelimit-headers, structured fields). Flat: name, value, name, value.
 */
export function limitHeaders(limits: readonly LimitState[]): string[] {
  if (limits.length === 0) return [];
  const policies = limits.map(
    ({ name, perSecond }) => `"${name}";q=${perSecond};w=1${quotaUnits[name]}`,
  );
  const states = limits.map(({ name, left, waitMs }) => {
    const seconds = Math.max(1, Math.ceil(waitMs / 1000));
    return `"${name}";r=${left};t=${seconds}`;
  });
  return ['RateLimit-Policy', policies.join(', '), 'RateLimit', states.join(', ')];
}

/** `requests` is the unit of a policy that names none. */
const quotaUnits: Readonly<Record<LimitState['name'], string>> = {
  requests: '',
  spans: ';qu="spans"',
  bytes: ';qu="content-bytes"',
};

/** ASCII and free of line breaks, as headers and the reason phrase must be. */
export function asciiLine(text: string): string {
  return text.replaceAll('…', '...').replace(/[^\x20-\x7e]/g, '?');
}

function reasonOf(error: GatewayError): string {
  return asciiLine(error.hint).slice(0, reasonCharsMax);
}

function refusalHeaders(error: GatewayError): string[] {
  const headers: string[] = [];
  if (error.retryAfterMs !== undefined) {
    const seconds = Math.max(1, Math.ceil(capped(error.retryAfterMs) / 1000));
    headers.push('Retry-After', String(seconds));
  }
  if (error.kind === 'method_not_allowed') headers.push('Allow', 'POST');
  if (error.kind === 'unsupported_encoding') headers.push('Accept-Encoding', acceptedEncodings);
  return headers;
}

function capped(retryAfterMs: number): number {
  return Math.min(retryAfterMs, retryAfterMsMax);
}

function percentEncode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (run) => {
    let encoded = '';
    for (const byte of Buffer.from(run)) {
      encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
    return encoded;
  });
}

function unpaddedBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
