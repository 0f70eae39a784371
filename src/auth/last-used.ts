/**
 * When each key was last used: in memory, written now and then in one batch.
 *
 * Promise: at most one write a minute for each key, whatever it does; the first use of a key is
 * written within 2 s, later ones within 30 s, all of them on close. A write that failed is tried
 * again with the next.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import type { Store } from './store.ts';
import { loggedFault } from './store-fault.ts';

export type LastUsed = {
  note(keyId: string): void;
  /** Writes what is left. */
  close(): Promise<void>;
};

const minuteMs = 60_000;
/** A clock that is set right by less costs no write. */
const aheadMsMax = 5 * minuteMs;
const flushIntervalMs = 30_000;
const firstFlushMs = 2_000;
/** Bounds the memory; forgetting only costs a write. */
const keysMax = 100_000;

export type LastUsedOptions = {
  readonly store: Pick<Store, 'recordUsage'>;
  readonly clock: Clock;
  readonly log: Log;
};

export function createLastUsed({ store, clock, log }: LastUsedOptions): LastUsed {
  /** The newest minute noted, written or about to be. */
  const noted = new Map<string, number>();
  let pending = new Map<string, number>();
  let timer: { readonly dueAtMs: number; readonly cancel: () => void } | undefined;
  let writing: Promise<void> = Promise.resolve();

  function flushWithin(delayMs: number): void {
    const dueAtMs = clock.monotonicMs() + delayMs;
    if (timer !== undefined && timer.dueAtMs <= dueAtMs) return;
    timer?.cancel();
    timer = { dueAtMs, cancel: clock.after(delayMs, () => void flush()) };
  }

  function flush(): Promise<void> {
    timer?.cancel();
    timer = undefined;
    writing = writing.then(write);
    return writing;
  }

  async function write(): Promise<void> {
    if (pending.size === 0) return;
    // Sorted, so that two gateways that write at once take row locks in the same order.
    const batch = new Map([...pending].sort(([a], [b]) => (a < b ? -1 : 1)));
    pending = new Map();
    try {
      await store.recordUsage(batch);
    } catch (error) {
      const fields = { cause: loggedFault(error), keys: batch.size };
      log.warn(fields, 'last-used dates were not written; trying later');
      for (const [keyId, usedAtMs] of batch) {
        if (!pending.has(keyId)) pending.set(keyId, usedAtMs);
      }
      flushWithin(flushIntervalMs);
    }
  }

  return {
    note(keyId) {
      const nowMs = clock.wallMs();
      const minute = nowMs - (nowMs % minuteMs);
      const before = noted.get(keyId);
      // One that lies far ahead is of a clock that was wrong then.
      if (before !== undefined && before >= minute && before < minute + aheadMsMax) return;
      if (noted.size >= keysMax) noted.clear();
      noted.set(keyId, minute);
      pending.set(keyId, minute);
      flushWithin(before === undefined ? firstFlushMs : flushIntervalMs);
    },
    async close() {
      await flush();
      timer?.cancel();
    },
  };
}
