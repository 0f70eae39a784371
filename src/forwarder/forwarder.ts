/**
 * The forwarder: deliveries go to the downstream over HTTP.
 *
 *   queue ──take──► one body ──POST──► 2xx          delivered, acked
 *             ▲                   ├──► try again    429, 502, 503, 504, no answer: the lane rests
 *             └──── halves ◄──────┼──► 400 413 422  of several: each half for itself
 *                                 └──► any other    dropped, with a counted reason
 *
 * Promise: every delivery that is handed over ends in exactly one counted outcome, delivered or
 * dropped, or goes back to whoever can send it again. What may work later is retried with backoff
 * until `maxElapsedTimeMs` after its arrival. One request of a lane is under way at a time, and
 * one lane that fails never holds up another.
 * Invariants: at most `connections` requests at once, whoever asks. The same bytes carry the same
 * `idempotency-key` on every attempt. Nothing waits in order to be joined. Redirects are never
 * followed. Neither a client's key nor the value of a configured header is ever logged or told,
 * even where the downstream quotes it; a relayed answer is the client's to read as it is, but for
 * the key that was sent.
 * Does not accept anything, nor keep what it sends: that is the queue's.
 */
import type { Clock } from '../core/clock.ts';
import type { Deliver, Encoding, Relay } from '../core/delivery.ts';
import type { Observability } from '../observability/observability.ts';
import type { Queue } from '../queue/queue.ts';
import { createAttempt } from './attempt.ts';
import { createDeliverNow } from './deliver-now.ts';
import { createDrain, type Drain } from './drain.ts';
import { createHttp } from './http.ts';
import { createNotes } from './notes.ts';
import { createRelay } from './relay.ts';
import { createRequestBody } from './request-body.ts';
import { createRequestHead } from './request-head.ts';
import { createSecrets } from './secrets.ts';
import { createSlots } from './slots.ts';

export type ForwarderOptions = {
  readonly downstream: DownstreamOptions;
  readonly retry: RetryOptions;
  /** How many bytes of bodies are joined at most. */
  readonly batchBytesMax: number;
  readonly clock: Clock;
  /** From 0 up to 1; for jitter. */
  readonly random?: () => number;
  readonly observability: Observability;
};

export type DownstreamOptions = {
  /** `http://host:port`, with or without a base path. */
  readonly endpoint: string;
  readonly tracesPath: string;
  readonly tracesApiPath: string;
  readonly encoding: Encoding;
  readonly compression: 'as_received' | 'none' | 'gzip' | 'zstd';
  /** Sent with every request; they never replace the gateway's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** For one attempt, from its connection to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly connections: number;
};

/** The words are the Collector's (exporterhelper, `retry_on_failure`). */
export type RetryOptions = {
  readonly initialIntervalMs: number;
  readonly maxIntervalMs: number;
  readonly multiplier: number;
  readonly randomizationFactor: number;
  /** From a delivery's arrival; 0 retries for ever. */
  readonly maxElapsedTimeMs: number;
};

export type Forwarder = {
  /** One attempt per delivery, now, all in parallel. */
  readonly deliverNow: Deliver;
  /** Your API: one attempt; resolves with the downstream's own answer. */
  readonly relay: Relay;
  /** Takes from the queue until `stop`. */
  run(queue: Queue): void;
  /** The process is about to end: from now on nothing in the queue rests for long. */
  hurry(): void;
  /**
   * Hurries, and resolves once the queue is empty or `graceMs` have passed. What is then left in a
   * queue that is not durable is dropped, counted and logged. Ends what is still under way. Once
   * only.
   */
  stop(graceMs: number): Promise<void>;
};

export function createForwarder(options: ForwarderOptions): Forwarder {
  const { downstream, clock, observability, random = Math.random } = options;
  const http = createHttp({ ...downstream, clock, metrics: observability.metrics });
  const slots = createSlots(downstream.connections, clock);
  const notes = createNotes(observability.log, clock);
  const headOf = createRequestHead(downstream);
  const bodyOf = createRequestBody(downstream);
  const secrets = createSecrets(downstream.headers);
  const sending = { bodyOf, headOf, http, secrets, clock, observability };
  const attempt = createAttempt({ ...sending, notes });
  const { timeoutMs } = downstream;
  let drain: Drain | undefined;
  let stopped: Promise<void> | undefined;

  async function stop(graceMs: number): Promise<void> {
    await drain?.finish(graceMs);
    await http.close();
    await drain?.dropRest();
  }

  return {
    deliverNow: createDeliverNow({ attempt, slots, timeoutMs, clock, notes }),
    relay: createRelay({ ...sending, slots, timeoutMs }),
    run(queue) {
      const { retry, batchBytesMax } = options;
      drain = createDrain({
        queue,
        attempt,
        slots,
        retry,
        batchBytesMax,
        timeoutMs,
        clock,
        random,
        notes,
        observability,
      });
    },
    hurry() {
      drain?.hurry();
    },
    stop(graceMs) {
      stopped ??= stop(graceMs);
      return stopped;
    },
  };
}
