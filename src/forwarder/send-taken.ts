/**
 * What was taken from a lane → downstream: in halves where it is refused as a whole, and the queue
 * told what came of it. The parts go in order, so what is done with is always the first of it.
 */
import type { Clock } from '../core/clock.ts';
import type { Delivery, DropReason } from '../core/delivery.ts';
import type { Observability } from '../observability/observability.ts';
import type { Taken } from '../queue/queue.ts';
import { type Attempt, itemsOf } from './attempt.ts';
import { type Backoff, backoffMs } from './backoff.ts';
import type { Notes } from './notes.ts';
import type { Verdict } from './verdict.ts';

export type SendOptions = Backoff & {
  readonly attempt: Attempt;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly notes: Notes;
  readonly observability: Observability;
};

/** How it ended: `reached` says whether the last attempt had a connection. */
export type Sent = { readonly reached: boolean };

/** Statuses that may be about one delivery of several. */
const splitStatuses = new Set([400, 413, 422]);

/** Ends what was taken with `ack` or `retryLater`. */
export async function sendTaken(options: SendOptions, taken: Taken): Promise<Sent> {
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
    else countRejected(options, verdict.rejectedItems);
    done += part.length;
  }
  taken.ack();
  return { reached: true };
}

type Refused = Extract<Verdict, { kind: 'refused' }>;
type Retryable = Extract<Verdict, { kind: 'retryable' }>;

function countRejected({ observability }: SendOptions, items: number): void {
  observability.metrics.items('dropped', items, 'partial_success_downstream');
}

type PutBack = {
  readonly done: number;
  readonly part: readonly Delivery[];
  readonly verdict: Retryable;
};

/** The lane rests. What has grown too old for another attempt is given up. */
function putBack(options: SendOptions, taken: Taken, { done, part, verdict }: PutBack): void {
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
  { notes, observability }: SendOptions,
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
