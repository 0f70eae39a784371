/**
 * What the queue does while the downstream cannot be connected to at all: one request at a time
 * tries, and all lanes go on as soon as one was answered. Without it each lane would find out for
 * itself, again and again, and most would still rest long after the downstream is back.
 *
 * Only a failed connection counts: it says something about every lane. What a connection brought,
 * a 503 or a stall, may be one agent's affair.
 */
import type { Clock } from '../core/clock.ts';
import { type Backoff, backoffMs } from './backoff.ts';

export type Breaker = {
  /** Whether one more request may be sent now. */
  admits(): boolean;
  /** A request is sent. */
  began(): void;
  /** It has ended; `reached` says whether it had a connection. */
  ended(reached: boolean): void;
  /** Ends its rest: the next try may be made now. */
  endRest(): void;
};

/** One small request now and then costs nothing, so recovery is noticed within seconds. */
const restMsMax = 5_000;

/** Calls `onAdmit` when a rest is over. */
export function createBreaker(backoff: Backoff, clock: Clock, onAdmit: () => void): Breaker {
  let failures = 0;
  let trying = false;
  let cancelRest: (() => void) | undefined;

  function endRest(): void {
    cancelRest?.();
    cancelRest = undefined;
  }

  return {
    admits: () => failures === 0 || (cancelRest === undefined && !trying),
    began() {
      trying = failures > 0;
    },
    ended(reached) {
      trying = false;
      if (reached) {
        failures = 0;
        endRest();
        return;
      }
      // Those that were sent together fail together, and count once.
      if (cancelRest !== undefined) return;
      failures += 1;
      const restMs = Math.min(backoffMs(backoff, failures, undefined), restMsMax);
      cancelRest = clock.after(restMs, () => {
        cancelRest = undefined;
        onAdmit();
      });
    },
    endRest,
  };
}
