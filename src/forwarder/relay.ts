/** Your API: the client waits for a result, so it gets the downstream's own answer. */
import type { Clock } from '../core/clock.ts';
import type { Delivery, Relay, RelayedAnswer } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';
import type { Observability } from '../observability/observability.ts';
import { answerBy } from './answer-by.ts';
import type { Answer, Http } from './http.ts';
import type { RequestBodyOf } from './request-body.ts';
import type { RequestHeadOf } from './request-head.ts';
import type { Secrets } from './secrets.ts';
import type { Slots } from './slots.ts';
import { unavailable, type Verdict, verdictOf } from './verdict.ts';

export type RelayOptions = {
  readonly bodyOf: RequestBodyOf;
  readonly headOf: RequestHeadOf;
  readonly http: Http;
  readonly secrets: Secrets;
  readonly slots: Slots;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly observability: Observability;
};

/** What a client may be sent back; held in memory meanwhile. */
const answerBytesMax = 4 * 1024 * 1024;

export function createRelay(options: RelayOptions): Relay {
  const { slots, secrets, clock, observability } = options;
  return async (delivery, deadlineAtMs) => {
    const answerAtMs = answerBy(deadlineAtMs, clock.monotonicMs());
    if (!(await slots.waitFor(answerAtMs))) {
      throw unavailable('all connections are busy', undefined);
    }
    try {
      const answer = await send(options, delivery, answerAtMs);
      const verdict = verdictOf(answer, clock.wallMs(), (text) =>
        secrets.hideInText(text, delivery),
      );
      const relayed = relayedOf(answer, verdict);
      if (relayed.status < 300) observability.metrics.items('delivered', delivery.items);
      return { ...relayed, body: secrets.hideInBody(relayed.body, delivery) };
    } finally {
      slots.give();
    }
  };
}

async function send(
  { bodyOf, headOf, http, timeoutMs, clock }: RelayOptions,
  delivery: Delivery,
  answerAtMs: number,
): Promise<Answer> {
  const body = await bodyOf([delivery]);
  const leftMs = Math.max(1, answerAtMs - clock.monotonicMs());
  return http.post({
    ...headOf([delivery], body),
    pieces: body.pieces,
    timeoutMs: Math.min(timeoutMs, leftMs),
    answerBytesMax,
  });
}

function relayedOf(answer: Answer, verdict: Verdict): RelayedAnswer {
  if (verdict.kind === 'retryable') throw unavailable(verdict.reason, verdict.retryAfterMs);
  if (answer.kind === 'unanswered' || answer.tooLong) {
    throw unavailable('its answer is too long', undefined);
  }
  const { status, contentType, body } = answer;
  if (status >= 300 && status < 400) {
    throw new GatewayError(
      'refused_downstream',
      `correct downstream.endpoint in the gateway: it answers ${status}, a redirect`,
    );
  }
  return { status, contentType, body };
}
