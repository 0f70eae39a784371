/** What an answer of the downstream means for the deliveries that were sent. */
import { GatewayError } from '../core/errors.ts';
import type { ExportResult } from '../core/incoming.ts';
import { decodeExportResponse } from '../otlp/otlp.ts';
import { parseRetryAfter } from './backoff.ts';
import type { Answer } from './http.ts';

export type Verdict =
  | ({ readonly kind: 'accepted' } & ExportResult)
  /** For good. `text` is the downstream's own, bounded. */
  | { readonly kind: 'refused'; readonly status: number; readonly text: string }
  /** `reason` is short and public; `retryAfterMs` if the downstream said so. */
  | {
      readonly kind: 'retryable';
      readonly reason: string;
      readonly retryAfterMs: number | undefined;
      /** False if there was no connection, which is nothing that the deliveries could change. */
      readonly reached: boolean;
    };

/** https://opentelemetry.io/docs/specs/otlp/#failures-1 */
const retryableStatuses = new Set([429, 502, 503, 504]);

const textCharsMax = 300;

export function verdictOf(answer: Answer, wallMs: number): Verdict {
  if (answer.kind === 'unanswered') {
    const { reason, reached } = answer;
    return { kind: 'retryable', reason, retryAfterMs: undefined, reached };
  }
  const { status } = answer;
  if (retryableStatuses.has(status)) {
    const retryAfterMs = parseRetryAfter(answer.retryAfter, wallMs);
    return { kind: 'retryable', reason: `status ${status}`, retryAfterMs, reached: true };
  }
  if (status < 200 || status > 299) return { kind: 'refused', status, text: textOf(answer.body) };
  return { kind: 'accepted', ...exportResultOf(answer) };
}

type Answered = Extract<Answer, { kind: 'answered' }>;

/** Any 2xx is success; only what says that it is an export response can say more. */
function exportResultOf({ contentType, body, tooLong }: Answered): ExportResult {
  if (tooLong) return { rejectedItems: 0, message: '' };
  if (/\bjson\b/i.test(contentType)) return decodeExportResponse('json', body);
  if (/protobuf/i.test(contentType)) return decodeExportResponse('proto', body);
  return { rejectedItems: 0, message: '' };
}

/** The body as one short line; what is not text (a protobuf Status has its message inside) goes. */
function textOf(body: Buffer): string {
  const text = body.toString('utf8', 0, textCharsMax * 4).replace(/[\p{C}\s\uFFFD]+/gu, ' ');
  return text.trim().slice(0, textCharsMax);
}

/** Clients are asked to wait so long at most: beyond it the JS exporters give up. */
const clientWaitMsMax = 3000;

/** What a client that waits is told. */
export function unavailable(reason: string, retryAfterMs: number | undefined): GatewayError {
  return new GatewayError(
    'downstream_unavailable',
    `send it again shortly: the ingestion service did not take it (${reason})`,
    retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, clientWaitMsMax) },
  );
}
