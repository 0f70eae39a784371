/**
 * What each API key may send per second: requests, spans and bytes, each with a burst of a second.
 *
 * Promise: `admit` and `charge` fail with `rate_limited` and the time until it passes again, or
 * take what they were asked for. Both are synchronous unless the shared store has to be asked.
 * Memory is bounded: keys that are not in use are forgotten.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { LimitState } from '../core/incoming.ts';
import { type Cost, KeyBucket, type Limit, type LimitName, type Refusal } from './limits-bucket.ts';
import { LeasedBucket, type LimitStore } from './limits-lease.ts';

export type { LimitStore } from './limits-lease.ts';

export type KeyLimits = {
  /** Before the body is read: takes one request; fails while any limit of the key is in debt. */
  admit(keyId: string): void | Promise<void>;
  /** Once the body is known; `bytes` inflated. */
  charge(
    keyId: string,
    cost: { readonly spans: number; readonly bytes: number },
  ): void | Promise<void>;
  /** What the key has left of each limit that there is. */
  stateOf(keyId: string): readonly LimitState[];
};

export type KeyLimitsOptions = {
  /** 0: no limit. */
  readonly limits: {
    readonly requestsPerSecond: number;
    readonly spansPerSecond: number;
    readonly bytesPerSecond: number;
  };
  /** Undefined: each gateway has the limits for itself. */
  readonly shared: LimitStore | undefined;
  readonly clock: Clock;
  /** Keys in memory; 100,000 by default. */
  readonly keysMax?: number;
};

type Bucket = KeyBucket | LeasedBucket;

const oneRequest: Cost = { requests: 1, spans: 0, bytes: 0 };

/** Undefined where nothing is limited. */
export function createKeyLimits(options: KeyLimitsOptions): KeyLimits | undefined {
  const { shared, clock, keysMax = 100_000 } = options;
  const limits = limitsOf(options.limits);
  if (limits.length === 0) return undefined;
  const buckets = new Map<string, Bucket>();

  function bucketOf(keyId: string, nowMs: number): Bucket {
    const known = buckets.get(keyId);
    if (known !== undefined) return known;
    forgetOldest(nowMs);
    const bucket =
      shared === undefined
        ? new KeyBucket(limits)
        : new LeasedBucket({ keyId, limits, store: shared, clock });
    buckets.set(keyId, bucket);
    return bucket;
  }

  /** Looks at two for each one that comes, so that those not in use are gone in the end. */
  function forgetOldest(nowMs: number): void {
    for (let looks = 0; looks < 2; looks += 1) {
      const [oldest] = buckets;
      if (oldest === undefined) return;
      const [keyId, bucket] = oldest;
      buckets.delete(keyId);
      const isFirst = looks === 0;
      if (!bucket.isFull(nowMs) && !(isFirst && buckets.size >= keysMax - 1)) {
        buckets.set(keyId, bucket);
      }
    }
  }

  function take(keyId: string, cost: Cost): void | Promise<void> {
    const nowMs = clock.monotonicMs();
    const refusal = bucketOf(keyId, nowMs).take(cost, nowMs);
    if (refusal instanceof Promise) return refusal.then(failIfRefused);
    failIfRefused(refusal);
  }

  return {
    admit: (keyId) => take(keyId, oneRequest),
    charge: take,
    stateOf(keyId) {
      const nowMs = clock.monotonicMs();
      const bucket = bucketOf(keyId, nowMs);
      return limits.map(({ name, perSecond }, index) => ({
        name,
        perSecond,
        left: Math.max(0, Math.floor(bucket.left(index, nowMs))),
        waitMs: bucket.waitMs(index, nowMs),
      }));
    },
  };
}

function limitsOf(options: KeyLimitsOptions['limits']): readonly Limit[] {
  const all: readonly Limit[] = [
    { name: 'requests', perSecond: options.requestsPerSecond },
    { name: 'spans', perSecond: options.spansPerSecond },
    { name: 'bytes', perSecond: options.bytesPerSecond },
  ];
  return all.filter(({ perSecond }) => perSecond > 0);
}

const fixes: Readonly<Record<LimitName, string>> = {
  requests: 'send fewer and larger batches',
  spans: 'send fewer spans',
  bytes: 'send fewer or smaller spans',
};

function failIfRefused(refusal: Refusal | undefined): void {
  if (refusal === undefined) return;
  const { limit, waitMs } = refusal;
  throw new GatewayError(
    'rate_limited',
    `${fixes[limit.name]}: this API key may send ${limit.perSecond} ${limit.name} per second`,
    { retryAfterMs: waitMs },
  );
}
