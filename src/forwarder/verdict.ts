/** What an answer of the downstream means for the deliveries that were sent. */
import { GatewayError } from '../core/errors.ts';
import type { ExportResult } from '../core/incoming.ts';
import { decodeExportResponse } from '../otlp/otlp.ts';
import { parseRetryAfter } from './backoff.ts';
import type { Answer } from './http.ts';

export type Verdict =
  /** `message` is the downstream's own, as a line. */
  | ({ readonly kind: 'accepted' } & ExportResult)
  /** For good. `text` is the downstream's own, as a line. */
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

/** Much of a body may be white space or markup, which a line does not keep. */
const textBytesMax = 16 * 1024;
const lineCharsMax = 300;

/** `hideSecrets` sees the downstream's words before they are cut off. */
export function verdictOf(
  answer: Answer,
  wallMs: number,
  hideSecrets: (text: string) => string,
): Verdict {
  if (answer.kind === 'unanswered') {
    const { reason, reached } = answer;
    return { kind: 'retryable', reason, retryAfterMs: undefined, reached };
  }
  const { status } = answer;
  if (retryableStatuses.has(status)) {
    const retryAfterMs = parseRetryAfter(answer.retryAfter, wallMs);
    return { kind: 'retryable', reason: `status ${status}`, retryAfterMs, reached: true };
  }
  if (status < 200 || status > 299) {
    const text = answer.body.toString('utf8', 0, textBytesMax);
    return { kind: 'refused', status, text: lineOf(hideSecrets(text)) };
  }
  const { rejectedItems, message } = exportResultOf(answer);
  return { kind: 'accepted', rejectedItems, message: lineOf(hideSecrets(message)) };
}

type Answered = Extract<Answer, { kind: 'answered' }>;

/** Any 2xx is success; only what says that it is an export response can say more. */
function exportResultOf({ contentType, body, tooLong }: Answered): ExportResult {
  if (tooLong) return { rejectedItems: 0, message: '' };
  if (/\bjson\b/i.test(contentType)) return decodeExportResponse('json', body);
  if (/protobuf/i.test(contentType)) return decodeExportResponse('proto', body);
  return { rejectedItems: 0, message: '' };
}

/** One short line; what is not text (a protobuf Status has its message inside) goes. */
function lineOf(text: string): string {
  const line = text.replace(/[\p{C}\s\uFFFD]+/gu, ' ').trim();
  // Cut in the midst of a character it would be no valid string for protobuf.
  return line.slice(0, lineCharsMax).toWellFormed();
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
