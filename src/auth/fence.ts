/**
 * The fence: whether answers from memory count now.
 *
 * Memory is right as of the start of the last fully applied poll of the feed. It counts while less
 * than the lease has passed since then. So whatever is answered from memory at t rests on a poll
 * that began after t − lease, and that poll saw every commit up to t − lease: nothing that was
 * taken away is granted later than its commit + lease.
 *
 * Time is taken from two clocks. The monotonic one stops while a machine is suspended, the wall
 * clock can be set; what either of them calls old is old. A wall clock that stands before the
 * moment was set back and says nothing, which counts as old too: the next poll mends it.
 */
import type { Clock } from '../core/clock.ts';

/** One moment, on both clocks. */
export type Moment = { readonly monotonicMs: number; readonly wallMs: number };

export function momentNow(clock: Clock): Moment {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** Whether less than `ms` have passed since the moment, by both clocks, which are asked anew. */
export function isWithin(clock: Clock, moment: Moment, ms: number): boolean {
  const wallMs = clock.wallMs() - moment.wallMs;
  return clock.monotonicMs() - moment.monotonicMs < ms && wallMs < ms && wallMs >= 0;
}

export type Fence = {
  isOpen(): boolean;
  /** The start of the poll that memory rests on now; undefined before the first one. */
  readonly restsOn: Moment | undefined;
  /** All that was committed up to `moment` has been applied to memory. */
  moveTo(moment: Moment): void;
  /** Shuts it until it is moved again. */
  shut(): void;
};

export function createFence(clock: Clock, leaseMs: number): Fence {
  let restsOn: Moment | undefined;
  return {
    isOpen: () => restsOn !== undefined && isWithin(clock, restsOn, leaseMs),
    get restsOn() {
      return restsOn;
    },
    moveTo(moment) {
      restsOn = moment;
    },
    shut() {
      restsOn = undefined;
    },
  };
}
