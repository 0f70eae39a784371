import type { RetryOptions } from './forwarder.ts';

/** The downstream may ask for so much patience; a longer wait would be a mistake on its side. */
export const retryAfterMsMax = 5 * 60_000;

export type Backoff = {
  readonly retry: RetryOptions;
  readonly random: () => number;
  /** No rest that begins now may be longer, whatever else asks for it. */
  readonly restMsMax: () => number;
};

/**
 * How long to wait after `failures` attempts in a row have failed; at least 1. Exponential, spread
 * by ± `randomizationFactor` as in the Collector, and never less than the downstream asked for,
 * up to `restMsMax`.
 */
export function backoffMs(
  { retry, random, restMsMax }: Backoff,
  failures: number,
  retryAfterMs: number | undefined,
): number {
  const grown = retry.initialIntervalMs * retry.multiplier ** (failures - 1);
  const intervalMs = Math.min(grown, retry.maxIntervalMs);
  const spread = retry.randomizationFactor * (2 * random() - 1);
  return Math.min(Math.max(intervalMs * (1 + spread), retryAfterMs ?? 0), restMsMax());
}

/**
 * `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3), as milliseconds from now, bounded by
 * `retryAfterMsMax`. Undefined if there is none or it makes no sense.
 */
export function parseRetryAfter(text: string | undefined, wallMs: number): number | undefined {
  if (text === undefined) return undefined;
  const trimmed = text.trim();
  const isSeconds = /^\d+$/.test(trimmed);
  // A date begins with a day's name; `Date.parse` alone takes many a number for a date.
  if (!isSeconds && !/^[a-z]/i.test(trimmed)) return undefined;
  const waitMs = isSeconds ? Number(trimmed) * 1000 : Date.parse(trimmed) - wallMs;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(waitMs, 0), retryAfterMsMax);
}
