/**
 * The one error type of the gateway and the one table that says what each kind means on the wire.
 *
 * Promise: every refusal is a `GatewayError`. `hint` is public and starts with the fix; `cause` is
 * private and only ever logged. Protocols render a row of the table, they never decide one.
 * Retryability follows https://opentelemetry.io/docs/specs/otlp/#failures : an unknown fault is
 * `internal` and retryable, because exporters throw data away on a plain 500 or INTERNAL.
 */

/** gRPC status codes that this gateway answers (grpc/doc/statuscodes.md). */
export const grpcStatus = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export type ErrorRow = {
  /** gRPC status code; also the `code` of the google.rpc.Status body over HTTP. */
  readonly grpc: number;
  readonly http: number;
  /** Set on retryable kinds only: how long a client is asked to wait unless the error says more. */
  readonly retryAfterMs?: number;
  /** The stable public word, at the end of each message and in Mibo's error shape. */
  readonly code: string;
};

const { invalidArgument, deadlineExceeded, permissionDenied, resourceExhausted } = grpcStatus;
const { unimplemented, unavailable, unauthenticated } = grpcStatus;

export const errorTable = {
  missing_api_key: { grpc: unauthenticated, http: 401, code: 'MISSING_API_KEY' },
  invalid_api_key: { grpc: unauthenticated, http: 401, code: 'INVALID_API_KEY' },
  platform_not_allowed: { grpc: permissionDenied, http: 403, code: 'PLATFORM_NOT_ALLOWED' },
  platform_not_found: { grpc: invalidArgument, http: 400, code: 'PLATFORM_NOT_FOUND' },
  malformed: { grpc: invalidArgument, http: 400, code: 'VALIDATION_ERROR' },
  unsupported_media_type: { grpc: invalidArgument, http: 415, code: 'UNSUPPORTED_MEDIA_TYPE' },
  unsupported_encoding: { grpc: unimplemented, http: 415, code: 'UNSUPPORTED_ENCODING' },
  payload_too_large: { grpc: resourceExhausted, http: 413, code: 'PAYLOAD_TOO_LARGE' },
  rate_limited: { grpc: resourceExhausted, http: 429, code: 'RATE_LIMITED', retryAfterMs: 1000 },
  overloaded: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 1000 },
  queue_full: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 2000 },
  refused_downstream: { grpc: invalidArgument, http: 400, code: 'VALIDATION_ERROR' },
  downstream_unavailable: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 2000 },
  shutting_down: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 1000 },
  store_unavailable: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 2000 },
  internal: { grpc: unavailable, http: 503, code: 'UNAVAILABLE', retryAfterMs: 2000 },
  deadline_exceeded: { grpc: deadlineExceeded, http: 504, code: 'DEADLINE_EXCEEDED' },
  not_found: { grpc: unimplemented, http: 404, code: 'NOT_FOUND' },
  method_not_allowed: { grpc: unimplemented, http: 405, code: 'METHOD_NOT_ALLOWED' },
  quota: { grpc: permissionDenied, http: 403, code: 'QUOTA_EXCEEDED' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorKind = keyof typeof errorTable;

/** One finding in a request body, in the shape that Mibo's API shows. */
export type ErrorDetail = {
  readonly location: 'body' | 'headers';
  readonly msg: string;
  readonly path: string;
  readonly type: string;
};

export type GatewayErrorOptions = {
  /** The fault behind it; logged, never sent. */
  readonly cause?: unknown;
  /** Overrides the table's wait; retryable kinds only. */
  readonly retryAfterMs?: number;
  readonly details?: readonly ErrorDetail[];
};

/** A hint this long plus its code stays under 1 KiB even if every character took two bytes. */
const hintCharsMax = 480;

export class GatewayError extends Error {
  override readonly name = 'GatewayError';
  readonly kind: ErrorKind;
  /** Public text that starts with the fix, without the code. */
  readonly hint: string;
  /** Milliseconds to wait before a retry; undefined where a retry cannot help. */
  readonly retryAfterMs: number | undefined;
  readonly details: readonly ErrorDetail[];
  /** Whose request it was, once that is known; for logs and counters. */
  keyId: string | undefined;
  /** Hex; the trace of the first span that is refused, where the body was read. */
  traceId: string | undefined;

  constructor(kind: ErrorKind, hint: string, options: GatewayErrorOptions = {}) {
    const row: ErrorRow = errorTable[kind];
    const text = hint.length > hintCharsMax ? `${hint.slice(0, hintCharsMax - 1)}…` : hint;
    super(`${text} [${row.code}]`, 'cause' in options ? { cause: options.cause } : undefined);
    this.kind = kind;
    this.hint = text;
    const retryable = row.retryAfterMs !== undefined;
    this.retryAfterMs = retryable ? (options.retryAfterMs ?? row.retryAfterMs) : undefined;
    this.details = options.details ?? [];
  }

  get row(): ErrorRow {
    return errorTable[this.kind];
  }

  /** Any thrown value as a `GatewayError`; what is not one already becomes `internal`. */
  static from(thrown: unknown): GatewayError {
    if (thrown instanceof GatewayError) return thrown;
    return new GatewayError('internal', 'send it again: the gateway had an internal fault', {
      cause: thrown,
    });
  }
}
