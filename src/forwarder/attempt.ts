/** One attempt to send deliveries of one lane as one request, and what came of it. */
import type { Clock } from '../core/clock.ts';
import type { Delivery } from '../core/delivery.ts';
import type { Observability } from '../observability/observability.ts';
import type { Http } from './http.ts';
import type { Notes } from './notes.ts';
import type { RequestBody, RequestBodyOf } from './request-body.ts';
import type { RequestHeadOf } from './request-head.ts';
import type { Secrets } from './secrets.ts';
import { type Verdict, verdictOf } from './verdict.ts';

/**
 * `timeoutMs` is for all of it, writing the body included. Never rejects. Counts what was
 * delivered; what else it means is the caller's to count.
 */
export type Attempt = (deliveries: readonly Delivery[], timeoutMs: number) => Promise<Verdict>;

export type AttemptOptions = {
  readonly bodyOf: RequestBodyOf;
  readonly headOf: RequestHeadOf;
  readonly http: Http;
  readonly secrets: Secrets;
  readonly notes: Notes;
  readonly clock: Clock;
  readonly observability: Observability;
};

/** A longer answer is not an export response; its status alone counts. */
const answerBytesMax = 64 * 1024;

export function createAttempt(options: AttemptOptions): Attempt {
  const { bodyOf, headOf, http, secrets, clock } = options;
  return async (deliveries, timeoutMs) => {
    const startedAtMs = clock.monotonicMs();
    let body: RequestBody;
    try {
      body = await bodyOf(deliveries);
    } catch (error) {
      const text = `the gateway could not re-encode the body: ${(error as Error).message}`;
      return { kind: 'refused', status: 400, text };
    }
    const { path, headers } = headOf(deliveries, body);
    const answer = await http.post({
      path,
      headers,
      pieces: body.pieces,
      timeoutMs: Math.max(1, timeoutMs - (clock.monotonicMs() - startedAtMs)),
      answerBytesMax,
    });
    const verdict = verdictOf(answer, clock.wallMs(), (text) =>
      secrets.hideInText(text, deliveries[0]),
    );
    if (verdict.kind !== 'accepted') return verdict;
    return settleAccepted(options, deliveries, verdict);
  };
}

type Accepted = Extract<Verdict, { kind: 'accepted' }>;

function settleAccepted(
  { notes, observability }: AttemptOptions,
  deliveries: readonly Delivery[],
  { rejectedItems, message }: Accepted,
): Verdict {
  const items = itemsOf(deliveries);
  // It cannot have rejected more than it was sent.
  const rejected = Math.min(Math.max(rejectedItems, 0), items);
  observability.metrics.items('delivered', items - rejected);
  if (rejected > 0 || message !== '') {
    const agentId = deliveries[0]?.agentId ?? '';
    notes.warn({ kind: 'partial success', about: agentId }, 'the downstream took it in part', {
      agent_id: agentId,
      rejected_items: rejected,
      downstream_message: message,
    });
  }
  return { kind: 'accepted', rejectedItems: rejected, message };
}

export function itemsOf(deliveries: readonly Delivery[]): number {
  return deliveries.reduce((sum, delivery) => sum + delivery.items, 0);
}
