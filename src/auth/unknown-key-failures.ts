/**
 * The budget for unknown keys of each client address: who guesses is asked to wait, and stands
 * behind all others where reads of the store are scarce.
 *
 * Addresses are shared (NAT), so that nothing here ever refuses a key that exists. The same unknown
 * key again is no further guess: whoever goes on using a revoked key is told so each time, and not
 * that it might be accepted later.
 */
import type { Clock } from '../core/clock.ts';
import { budgetAddress } from './budget-address.ts';

export type UnknownKeyFailures = {
  /** Milliseconds until the address may guess again; 0 while it is within its budget. */
  waitMs(peer: string): number;
  /** Counts this unknown key if it is new, and if the budget allows; else the wait. */
  count(peer: string, hash: string): number;
};

export type UnknownKeyFailuresOptions = {
  /** 0: no budget. A minute's worth may be used at once. */
  readonly perMinute: number;
  readonly clock: Clock;
};

const minuteMs = 60_000;
const roundingMs = 0.001;
/** Bounds the memory; whoever has more addresses than this is not stopped by address at all. */
const addressesMax = 65_536;
/** As many unknown keys are remembered; forgetting one makes it a guess again. */
const hashesMax = 10_000;

export function createUnknownKeyFailures(options: UnknownKeyFailuresOptions): UnknownKeyFailures {
  const { perMinute, clock } = options;
  /** When each address has its whole budget again, the one that failed last at the end. */
  const wholeAtMs = new Map<string, number>();
  /** Unknown keys that were counted, the one that was used last at the end. */
  const counted = new Set<string>();

  function usedMs(address: string): number {
    return Math.max(0, (wholeAtMs.get(address) ?? 0) - clock.monotonicMs());
  }

  function forgetOldest(): void {
    for (const [address, atMs] of wholeAtMs) {
      if (atMs > clock.monotonicMs() && wholeAtMs.size < addressesMax) return;
      wholeAtMs.delete(address);
    }
  }

  function isCounted(hash: string): boolean {
    if (!counted.delete(hash)) return false;
    counted.add(hash);
    return true;
  }

  function remember(hash: string): void {
    const [oldest] = counted;
    if (counted.size >= hashesMax && oldest !== undefined) counted.delete(oldest);
    counted.add(hash);
  }

  function waitMs(peer: string): number {
    // Mostly nobody has failed: that costs nothing.
    if (wholeAtMs.size === 0) return 0;
    const overMs = usedMs(budgetAddress(peer)) + minuteMs / perMinute - minuteMs;
    return overMs > roundingMs ? Math.ceil(overMs) : 0;
  }

  return {
    waitMs,
    count(peer, hash) {
      if (perMinute === 0 || isCounted(hash)) return 0;
      const wait = waitMs(peer);
      if (wait > 0) return wait;
      const address = budgetAddress(peer);
      const used = usedMs(address);
      wholeAtMs.delete(address);
      forgetOldest();
      wholeAtMs.set(address, clock.monotonicMs() + used + minuteMs / perMinute);
      remember(hash);
      return 0;
    },
  };
}
