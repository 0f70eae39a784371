/**
 * A request as a receiver hands it on: the same shape for gRPC and HTTP, with the body still
 * unread, so that a refused client costs no body memory.
 */
import type { Compression, Encoding } from './delivery.ts';

/** The authentication headers as received; every value of a repeated header. */
export type Credentials = {
  readonly apiKey: readonly string[];
  readonly authorization: readonly string[];
};

export type IncomingBody = {
  readonly encoding: Encoding;
  readonly compression: Compression;
  /** The bytes on the wire, as received. */
  readonly received: Buffer;
  /** The inflated bytes; the same buffer as `received` where nothing was compressed. */
  readonly message: Buffer;
};

/** What a key has left of one of its limits. */
export type LimitState = {
  readonly name: 'requests' | 'spans' | 'bytes';
  readonly perSecond: number;
  /** Whole; 0 in debt. */
  readonly left: number;
  /** Until the debt is paid; 0 if there is none. */
  readonly waitMs: number;
};

export type IncomingRequest = {
  readonly protocol: 'grpc' | 'http';
  /** The client's address: that of the connection, or as a trusted proxy names it. */
  readonly peer: string;
  readonly credentials: Credentials;
  /** The header that may name the target (`routing.header`); undefined if it was not sent. */
  readonly platformHeader: string | undefined;
  /** The client's `x-request-id`. */
  readonly requestId: string | undefined;
  /** The gateway's correlation id. */
  readonly gatewayRequestId: string;
  /** Monotonic milliseconds by which the request is answered. */
  readonly deadlineAtMs: number;
  /**
   * Checks content type and encoding, reads and inflates within the limits. Called once, after the
   * key was accepted. Rejects with `GatewayError`.
   */
  readBody(): Promise<IncomingBody>;
  /** Called once the key is known, if it has limits; read when the answer goes out, if at all. */
  limitedBy(read: () => readonly LimitState[]): void;
};

/** Full success: 0 and ''. Warning: 0 and a text. Partial success: a count and the fix. */
export type ExportResult = { readonly rejectedItems: number; readonly message: string };

export type TracesApiResult =
  /** The body was an OTLP envelope: answered as OTLP, in the request's encoding. */
  | { readonly kind: 'export'; readonly encoding: Encoding; readonly result: ExportResult }
  /** Flat spans: the downstream's own answer. */
  | {
      readonly kind: 'relayed';
      readonly status: number;
      readonly contentType: string;
      readonly body: Buffer;
      readonly warning: string | undefined;
    };

/** The journey, as handed to the receivers. Both reject with `GatewayError`. */
export type Ingest = {
  exportRequest(request: IncomingRequest): Promise<ExportResult>;
  tracesApi(request: IncomingRequest): Promise<TracesApiResult>;
};
