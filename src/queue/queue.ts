/**
 * The sending queue: deliveries that were accepted and wait for the downstream.
 *
 *   append ──► lane: d1 d2 d3 … ──► take ──► ack                  done with, forgotten
 *   append ──► lane: d1 …           (in turn)  └─► retry later    stays first, the lane rests
 *
 * Promise: `append` takes all deliveries of a request or none. What was appended is taken until it
 * is acked (at least once), in order of arrival within its lane. Lanes take turns, and no lane
 * waits for another: one whose agent is slow or refused rests alone. Every call costs the same
 * with one lane as with thousands.
 * Invariants: a lane is taken at most once at a time, so one request per lane is under way. What
 * is taken together may be sent as one body by concatenation.
 * Does not send, count outcomes, or decide what is retried: that is the forwarder's.
 */
import type { Delivery } from '../core/delivery.ts';

export { createMemoryQueue, type MemoryQueueOptions } from './memory-queue.ts';

export type Queue = {
  /** What is appended survives this process. */
  readonly durable: boolean;
  /**
   * Resolves once the deliveries are in the queue; their bytes must not change afterwards. Rejects
   * with `GatewayError`: `queue_full`, or `shutting_down` after `close`.
   */
  append(deliveries: readonly Delivery[]): Promise<void>;
  /** Calls `listener` whenever a lane has become ready to be taken. One listener. */
  onReady(listener: () => void): void;
  /**
   * The oldest deliveries of the lane whose turn it is: one, and what waits behind it as far as it
   * may be joined and fits into `bytesMax`. Undefined if no lane is ready.
   */
  take(bytesMax: number): Taken | undefined;
  /** Ends every rest now; a rest that begins later is not affected. */
  wake(): void;
  /** Everything that is not acked yet, taken or not. */
  depth(): Depth;
  /** Nothing is appended or taken any more. What is taken may still be acked. */
  close(): Promise<void>;
};

/** Deliveries of one lane, on their way. Ends with exactly one `ack` or `retryLater`. */
export type Taken = {
  /** Oldest first; never empty. */
  readonly deliveries: readonly Delivery[];
  /**
   * How often in a row this lane ended in `retryLater` before. A lane that is empty after its rest
   * is forgotten, and begins anew.
   */
  readonly failures: number;
  /** All are done with, delivered or dropped. */
  ack(): void;
  retryLater(again: RetryLater): void;
};

export type RetryLater = {
  /** So many of the first ones are done with, and forgotten. */
  readonly done: number;
  /**
   * So many of the others are taken together again, neither more nor fewer, so that the same bytes
   * are sent under the same idempotency key. 0: no matter.
   */
  readonly together: number;
  /** How long the lane rests. */
  readonly afterMs: number;
};

export type Depth = {
  readonly deliveries: number;
  /** Spans. */
  readonly items: number;
  readonly bytes: number;
};
