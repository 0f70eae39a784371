/**
 * One delivery: bytes of one agent from one request, on their way to the downstream.
 *
 * Promise: every delivery that was accepted ends in exactly one counted outcome, *delivered*,
 * *rejected* (the client was told) or *dropped* (with a reason of the closed set below).
 */
import type { GatewayError } from './errors.ts';

export type Encoding = 'proto' | 'json';
export type Compression = 'identity' | 'gzip' | 'deflate' | 'zstd';

/** `traces_api` is a flat body of Your API: always JSON, never joined with another. */
export type DeliverySignal = 'traces' | 'traces_api';

export type Delivery = {
  readonly projectId: string;
  readonly keyId: string;
  /** Passthrough only: goes out as `x-api-key`. Never logged. */
  readonly forwardKey?: string;
  /** Lower-case; empty where the next hop decides (passthrough). */
  readonly agentId: string;
  readonly signal: DeliverySignal;
  readonly encoding: Encoding;
  readonly compression: Compression;
  /** The client's own `x-request-id`; never invented, since it is an identity downstream. */
  readonly requestId?: string;
  /** The same on every attempt to send the same bytes. */
  readonly idempotencyKey: string;
  /** The gateway's correlation id. */
  readonly gatewayRequestId: string;
  /** Wall clock, Unix milliseconds. */
  readonly arrivedAtMs: number;
  /** Spans, for traces. */
  readonly items: number;
  /** The body in pieces, in order; slices of what arrived wherever possible. */
  readonly body: readonly Buffer[];
  readonly bodyBytes: number;
};

/** Why accepted items were given up; also the `reason` label of the dropped counter. */
export const dropReasons = [
  'refused_downstream',
  'retries_exhausted',
  'shutdown_timeout',
  'partial_success_downstream',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** What became of one delivery that was handed over. */
export type DeliveryOutcome =
  /** The promise of `delivery.mode` holds. Rejected items are the downstream's partial success. */
  | { readonly kind: 'accepted'; readonly rejectedItems: number; readonly message: string }
  /** The downstream refused it for good; the client is told its text (sync mode). */
  | { readonly kind: 'refused'; readonly status: number; readonly text: string }
  /** It may work later; the client is asked to send again. */
  | { readonly kind: 'retryable'; readonly error: GatewayError };

/**
 * Takes over the deliveries of one request. Resolves with one outcome per delivery, in order, once
 * what `delivery.mode` promises holds, and never later than `deadlineAtMs` (monotonic clock).
 */
export type Deliver = (
  deliveries: readonly Delivery[],
  deadlineAtMs: number,
) => Promise<readonly DeliveryOutcome[]>;

/** The downstream's own answer, handed on to a client that waits for it. */
export type RelayedAnswer = {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
};

/** Sends one delivery now; resolves with the downstream's answer, rejects with `GatewayError`. */
export type Relay = (delivery: Delivery, deadlineAtMs: number) => Promise<RelayedAnswer>;
