/** Sync mode: the client waits, one attempt is made, and the client carries the retry. */
import type { Clock } from '../core/clock.ts';
import type { Deliver, Delivery, DeliveryOutcome } from '../core/delivery.ts';
import { answerBy } from './answer-by.ts';
import type { Attempt } from './attempt.ts';
import type { Notes } from './notes.ts';
import type { Slots } from './slots.ts';
import { unavailable } from './verdict.ts';

export type DeliverNowOptions = {
  readonly attempt: Attempt;
  readonly slots: Slots;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly notes: Notes;
};

export function createDeliverNow(options: DeliverNowOptions): Deliver {
  return (deliveries, deadlineAtMs) => {
    const answerAtMs = answerBy(deadlineAtMs, options.clock.monotonicMs());
    return Promise.all(deliveries.map((delivery) => deliverOne(options, delivery, answerAtMs)));
  };
}

async function deliverOne(
  { attempt, slots, timeoutMs, clock, notes }: DeliverNowOptions,
  delivery: Delivery,
  answerAtMs: number,
): Promise<DeliveryOutcome> {
  if (!(await slots.waitFor(answerAtMs))) {
    return { kind: 'retryable', error: unavailable('all connections are busy', undefined) };
  }
  try {
    const leftMs = Math.max(1, answerAtMs - clock.monotonicMs());
    const verdict = await attempt([delivery], Math.min(timeoutMs, leftMs));
    if (verdict.kind !== 'retryable') return verdict;
    const { reason, retryAfterMs } = verdict;
    notes.warn({ kind: 'retryable', about: reason }, 'the downstream did not take a delivery', {
      reason,
      agent_id: delivery.agentId,
    });
    return { kind: 'retryable', error: unavailable(reason, retryAfterMs) };
  } finally {
    slots.give();
  }
}
