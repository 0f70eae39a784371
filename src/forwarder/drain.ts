/**
 * Queue → downstream: takes as long as a slot is free and a lane is ready, and settles what came
 * of it with the queue. Woken by the queue and by slots that become free; never polls.
 */
import type { Clock } from '../core/clock.ts';
import type { Delivery, DropReason } from '../core/delivery.ts';
import type { Observability } from '../observability/observability.ts';
import type { Queue, Taken } from '../queue/queue.ts';
import { type Attempt, itemsOf } from './attempt.ts';
import { backoffMs } from './backoff.ts';
import { createBreaker } from './breaker.ts';
import type { RetryOptions } from './forwarder.ts';
import type { Notes } from './notes.ts';
import type { Slots } from './slots.ts';
import type { Verdict } from './verdict.ts';

export type Drain = {
  /** Goes on until the queue is empty or `graceMs` have passed, and takes nothing afterwards. */
  finish(graceMs: number): Promise<void>;
  /** Once what was under way has ended: counts what an undurable queue still holds as dropped. */
  dropRest(): Promise<void>;
};

export type DrainOptions = {
  readonly queue: Queue;
  readonly attempt: Attempt;
  readonly slots: Slots;
  readonly retry: RetryOptions;
  readonly batchBytesMax: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly notes: Notes;
  readonly observability: Observability;
};

export function createDrain(options: DrainOptions): Drain {
  const { queue, slots, clock, observability } = options;
  let taking = true;
  let underWay = 0;
  let onEnd: () => void = () => {};
  const breaker = createBreaker(options, clock, pump);

  function pump(): void {
    while (taking && slots.free > 0 && breaker.admits()) {
      const taken = queue.take(options.batchBytesMax);
      if (taken === undefined) return;
      slots.take();
      underWay += 1;
      breaker.began();
      void sendTaken(options, taken).then(({ reached }) => {
        underWay -= 1;
        breaker.ended(reached);
        slots.give();
        onEnd();
      });
    }
  }

  /** Resolves once `isTrue`, which only the end of a request can change. */
  function until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      onEnd = () => {
        if (isTrue()) resolve();
      };
      onEnd();
    });
  }

  queue.onReady(pump);
  slots.onFree(pump);
  pump();
  return {
    async finish(graceMs) {
      const empty = until(() => underWay === 0 && queue.depth().deliveries === 0);
      let cancel = (): void => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(graceMs, resolve);
      });
      await Promise.race([empty, late]);
      cancel();
      taking = false;
      breaker.close();
    },
    async dropRest() {
      await until(() => underWay === 0);
      const { deliveries, items } = queue.depth();
      if (queue.durable || deliveries === 0) return;
      observability.metrics.items('dropped', items, 'shutdown_timeout');
      observability.log.error(
        { deliveries, items, reason: 'shutdown_timeout' },
        'the downstream did not take everything in time: the rest is lost with this process',
      );
    },
  };
}

/** Statuses that may be about one delivery of several. */
const splitStatuses = new Set([400, 413, 422]);

/**
 * Sends what was taken, in halves where the downstream refuses it as a whole, and tells the queue.
 * The parts go in order, so what is done with is always the first of what was taken.
 */
async function sendTaken(options: DrainOptions, taken: Taken): Promise<{ reached: boolean }> {
  const parts: (readonly Delivery[])[] = [taken.deliveries];
  let done = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const verdict = await options.attempt(part, options.timeoutMs);
    if (verdict.kind === 'retryable') {
      putBack(options, taken, { done, part, verdict });
      return { reached: verdict.reached };
    }
    if (verdict.kind === 'refused' && part.length > 1 && splitStatuses.has(verdict.status)) {
      const middle = Math.ceil(part.length / 2);
      parts.push(part.slice(middle), part.slice(0, middle));
      continue;
    }
    if (verdict.kind === 'refused') drop(options, part, { reason: 'refused_downstream', verdict });
    else countRejected(options, verdict);
    done += part.length;
  }
  taken.ack();
  return { reached: true };
}

type Refused = Extract<Verdict, { kind: 'refused' }>;
type Retryable = Extract<Verdict, { kind: 'retryable' }>;

function countRejected({ observability }: DrainOptions, verdict: Verdict): void {
  if (verdict.kind !== 'accepted') return;
  const { metrics } = observability;
  metrics.items('dropped', verdict.rejectedItems, 'partial_success_downstream');
}

type PutBack = {
  readonly done: number;
  readonly part: readonly Delivery[];
  readonly verdict: Retryable;
};

/** The lane rests. What has grown too old for another attempt is given up. */
function putBack(options: DrainOptions, taken: Taken, { done, part, verdict }: PutBack): void {
  const { retry, clock, notes } = options;
  const { reason, retryAfterMs } = verdict;
  const afterMs = backoffMs(options, taken.failures + 1, retryAfterMs);
  const dueAtMs = clock.wallMs() + afterMs;
  const isTooOld = ({ arrivedAtMs }: Delivery): boolean =>
    retry.maxElapsedTimeMs > 0 && dueAtMs - arrivedAtMs > retry.maxElapsedTimeMs;
  const young = part.findIndex((delivery) => !isTooOld(delivery));
  const givenUp = young < 0 ? part : part.slice(0, young);
  if (givenUp.length > 0) drop(options, givenUp, { reason: 'retries_exhausted', verdict });
  const agentId = part[0]?.agentId;
  notes.warn({ kind: 'retryable', about: reason }, 'the downstream did not take a delivery', {
    reason,
    agent_id: agentId,
    retry_after_ms: Math.round(afterMs),
  });
  const together = part.length - givenUp.length;
  taken.retryLater({ done: done + givenUp.length, together, afterMs });
}

type Drop = { readonly reason: DropReason; readonly verdict: Refused | Retryable };

function drop(
  { notes, observability }: DrainOptions,
  deliveries: readonly Delivery[],
  { reason, verdict }: Drop,
): void {
  const items = itemsOf(deliveries);
  observability.metrics.items('dropped', items, reason);
  const [first] = deliveries;
  const answer =
    verdict.kind === 'refused'
      ? { status: verdict.status, answer: verdict.text }
      : { answer: verdict.reason };
  notes.warn({ kind: reason, about: first?.agentId ?? '' }, 'spans are dropped', {
    reason,
    agent_id: first?.agentId,
    key_id: first?.keyId,
    gateway_request_id: first?.gatewayRequestId,
    items,
    ...answer,
  });
}
