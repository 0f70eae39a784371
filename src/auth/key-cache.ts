/**
 * Keys in memory, over a store that many gateways share.
 *
 * Promise: a key that was revoked is accepted no later than its commit + lease, and not at all once
 * the revoke has returned; the same for what a scope or an agent's removal takes away. Unknown is
 * only what the primary said does not exist. A fault is `store_unavailable`.
 *
 *   lookup ── fence open? ── memory (L1, unknown keys)                  synchronous
 *                        └── one flight a hash: shared cache → primary  see key-loader.ts
 *   feed   ── each poll: outdate what changed, then move the fence      see key-feed.ts, fence.ts
 *
 * With `staleIfErrorMs` the operator chooses to extend the lease by that much while the primary
 * does not answer; revokes do not wait for it.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import { isWithin } from './fence.ts';
import { createKeyFeed } from './key-feed.ts';
import { createKeyLoader } from './key-loader.ts';
import type { KeySource } from './key-source.ts';
import { createKeyView, type KeyView } from './key-view.ts';
import { createLeaseHold } from './lease-hold.ts';
import type { SharedCache } from './shared-cache.ts';
import type { Grant } from './store.ts';

export type KeyCacheOptions = {
  readonly source: KeySource;
  readonly shared: SharedCache | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly keysMax: number;
  /** Fixed, from the load. The shared cache keeps its records no longer than that. */
  readonly ttlMs: number;
  /** Of keys that do not exist. */
  readonly negativeTtlMs: number;
  /** How long memory counts after the start of a poll. */
  readonly leaseMs: number;
  /** How much longer keys in memory are accepted while the primary does not answer; 0: not. */
  readonly staleIfErrorMs: number;
};

export type KeyCacheState = {
  readonly fence: 'open' | 'closed';
  /** All changes of the registry up to this one are known here. */
  readonly version: number;
  readonly keys: number;
  readonly unknownKeys: number;
  readonly projects: number;
  /** Since the start of the last poll that was applied; undefined before the first. */
  readonly lastPollAgeMs: number | undefined;
};

/** Since the start. */
export type KeyCacheCounters = {
  readonly hits: number;
  readonly sharedHits: number;
  readonly storeReads: number;
  readonly refusedBySemaphore: number;
  readonly staleServed: number;
};

export type KeyCache = {
  /**
   * The key with this SHA-256 (lower-case hex); undefined only if the primary says that there is
   * none. At once if it is in memory. Rejects with `GatewayError`: `store_unavailable`,
   * `overloaded` (too many new keys at once), `rate_limited` (the same, for a suspect). Whether the
   * key has expired is for the caller to check. `suspect`: from an address that sent many unknown
   * keys.
   */
  lookup(
    hash: string,
    options?: { readonly suspect?: boolean },
  ): Grant | undefined | Promise<Grant | undefined>;
  /** Resolves once the first poll was tried, also if the store is down: it goes on trying. */
  start(): Promise<void>;
  /** Ends the feed; what is under way is ignored. */
  close(): void;
  state(): KeyCacheState;
  counters(): KeyCacheCounters;
};

/** Covers fills and reads that were under way, and clocks that run apart. */
const marginMs = 60_000;

export function createKeyCache(options: KeyCacheOptions): KeyCache {
  const { source, shared, clock, log, leaseMs, staleIfErrorMs } = options;
  const recordsLiveMs = (shared === undefined ? 0 : options.ttlMs) + marginMs;
  const view = createKeyView({ ...options, recordsLiveMs });
  const { fence, memory, unknownKeys } = view;
  const lease = createLeaseHold({ source, clock, log, leaseMs });
  const holdsLease = lease.isHeld;
  const loader = createKeyLoader({ source, shared, clock, view, leaseMs, holdsLease });
  const feed = createKeyFeed({ source, clock, log, leaseMs, lease, view, recordsLiveMs });
  let hits = 0;
  let staleServed = 0;

  /**
   * What was fresh as of the last poll: the outage does not count towards its age. A key that is in
   * memory is refused for no other reason than that the primary did not answer.
   */
  function stale(hash: string): Grant | undefined {
    const { restsOn } = fence;
    if (restsOn === undefined) return undefined;
    if (!isWithin(clock, restsOn, leaseMs + staleIfErrorMs)) return undefined;
    return memory.get(hash, restsOn.monotonicMs);
  }

  async function orStale(hash: string, answer: Promise<Grant | undefined>) {
    try {
      return await answer;
    } catch (thrown) {
      const grant = stale(hash);
      if (grant === undefined) throw thrown;
      staleServed += 1;
      return grant;
    }
  }

  return {
    lookup(hash, options) {
      if (fence.isOpen()) {
        const grant = memory.get(hash, clock.monotonicMs());
        if (grant !== undefined) {
          hits += 1;
          return grant;
        }
        if (unknownKeys.has(hash)) return undefined;
      }
      const answer = loader.load(hash, options?.suspect === true);
      return staleIfErrorMs > 0 ? orStale(hash, answer) : answer;
    },
    async start() {
      await feed.start();
      shared?.onAnnouncement(feed.wake);
    },
    close() {
      feed.stop();
      fence.shut();
    },
    state: () => stateOf(view, clock),
    counters: () => ({ hits, ...loader.counters(), staleServed }),
  };
}

function stateOf({ fence, known, memory, unknownKeys }: KeyView, clock: Clock): KeyCacheState {
  const { restsOn } = fence;
  return {
    fence: fence.isOpen() ? 'open' : 'closed',
    version: known.version ?? 0,
    keys: memory.size,
    unknownKeys: unknownKeys.size,
    projects: memory.projects.size,
    lastPollAgeMs: restsOn === undefined ? undefined : clock.monotonicMs() - restsOn.monotonicMs,
  };
}
