/**
 * The in-flight budget: how many bytes of requests may be held in memory, all clients together.
 *
 * Promise: never more than `bytesMax` is reserved at once. Waiters are served in order of arrival,
 * so a large request is not starved by small ones. Does not allocate anything itself.
 */
import type { Clock } from './clock.ts';
import { GatewayError } from './errors.ts';

export type Budget = {
  /** Takes `bytes` if they are free now and nobody waits. */
  tryReserve(bytes: number): boolean;
  /**
   * Takes `bytes` if they are free now, whoever waits: for a request that was admitted already and
   * moves on. Held back by those who only want in, nothing would be accepted under overload.
   */
  tryReserveAhead(bytes: number): boolean;
  /** Waits up to `waitMs` for room; rejects with `overloaded` after that. */
  reserve(bytes: number, waitMs: number): Promise<void>;
  release(bytes: number): void;
  readonly usedBytes: number;
  readonly bytesMax: number;
};

type Waiter = { bytes: number; grant: () => void };

export function createBudget(bytesMax: number, clock: Clock): Budget {
  const waiters = new Set<Waiter>();
  let usedBytes = 0;

  function tryReserveAhead(bytes: number): boolean {
    if (usedBytes + bytes > bytesMax) return false;
    usedBytes += bytes;
    return true;
  }

  function tryReserve(bytes: number): boolean {
    return waiters.size === 0 && tryReserveAhead(bytes);
  }

  function serveWaiters(): void {
    for (const waiter of waiters) {
      if (usedBytes + waiter.bytes > bytesMax) return;
      usedBytes += waiter.bytes;
      waiters.delete(waiter);
      waiter.grant();
    }
  }

  function reserve(bytes: number, waitMs: number): Promise<void> {
    if (tryReserve(bytes)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const cancel = clock.after(waitMs, () => {
        waiters.delete(waiter);
        // The next in line may fit where this one did not.
        serveWaiters();
        reject(
          new GatewayError(
            'overloaded',
            'send it again shortly: the gateway is out of memory room',
          ),
        );
      });
      const waiter: Waiter = {
        bytes,
        grant() {
          cancel();
          resolve();
        },
      };
      waiters.add(waiter);
    });
  }

  return {
    tryReserve,
    tryReserveAhead,
    reserve,
    release(bytes) {
      usedBytes -= bytes;
      if (waiters.size > 0) serveWaiters();
    },
    get usedBytes() {
      return usedBytes;
    },
    bytesMax,
  };
}
