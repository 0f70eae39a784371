/**
 * The bound on requests that are under way at once. A client that waits for its answer goes before
 * the queue, which can wait.
 */
import type { Clock } from '../core/clock.ts';

export type Slots = {
  readonly free: number;
  /** Takes a free slot; the caller has looked at `free`. */
  take(): void;
  /** Resolves with whether a slot was taken by the deadline (monotonic clock). */
  waitFor(deadlineAtMs: number): Promise<boolean>;
  /** Gives a slot back. */
  give(): void;
  /** Calls `listener` whenever a slot is given back that nobody waits for. One listener. */
  onFree(listener: () => void): void;
};

export function createSlots(count: number, clock: Clock): Slots {
  const waiters = new Set<() => void>();
  let free = count;
  let onFree: () => void = () => {};

  function waitInLine(waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const grant = (): void => {
        cancel();
        resolve(true);
      };
      const cancel = clock.after(waitMs, () => {
        waiters.delete(grant);
        resolve(false);
      });
      waiters.add(grant);
    });
  }

  return {
    get free() {
      return free;
    },
    take() {
      free -= 1;
    },
    async waitFor(deadlineAtMs) {
      if (free > 0) {
        free -= 1;
        return true;
      }
      const waitMs = deadlineAtMs - clock.monotonicMs();
      return waitMs > 0 && waitInLine(waitMs);
    },
    give() {
      for (const grant of waiters) {
        waiters.delete(grant);
        grant();
        return;
      }
      free += 1;
      onFree();
    },
    onFree(listener) {
      onFree = listener;
    },
  };
}
