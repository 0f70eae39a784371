/**
 * The in-flight budget: how many bytes of requests may be held in memory, all clients together.
 *
 * Promise: nothing is admitted beyond `bytesMax`. Waiters are served in order of arrival, so a
 * large request is not starved by small ones. Does not allocate anything itself.
 */
import type { Clock } from './clock.ts';
import { GatewayError } from './errors.ts';

export type Budget = {
  /** Takes `bytes` if they are free now and nobody waits. */
  tryReserve(bytes: number): boolean;
  /**
   * Counts `bytes` of an admitted request that stay behind when its own room is given back. Never
   * refused: they are in memory already, and for a moment counted twice.
   */
  takeOver(bytes: number): void;
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

  function tryReserve(bytes: number): boolean {
    if (waiters.size > 0 || usedBytes + bytes > bytesMax) return false;
    usedBytes += bytes;
    return true;
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
    takeOver(bytes) {
      usedBytes += bytes;
    },
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
