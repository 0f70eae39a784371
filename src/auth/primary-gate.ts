/**
 * What lookups do while the primary does not answer: one at a time tries, the others fail at once.
 *
 * A primary that hangs would otherwise cost every request the whole deadline, and one that comes
 * back would find all of them waiting. One failed read is enough to shut it: what needs the primary
 * is few while memory counts, its failures are retried by the clients, and it is tried again a
 * tenth of a second later. So of all requests during an outage, fewer than two a second wait.
 */
import type { Clock } from '../core/clock.ts';

export type PrimaryGate = {
  /** Undefined: not now. Else to be called once with whether the primary answered. */
  enter(): ((answered: boolean) => void) | undefined;
};

const restMs = 100;

export function createPrimaryGate(clock: Clock): PrimaryGate {
  /** Set while the last thing that was heard of the primary is a failure. */
  let restsUntilMs: number | undefined;
  let isProbing = false;

  return {
    enter() {
      const isProbe = restsUntilMs !== undefined;
      if (restsUntilMs !== undefined) {
        if (isProbing || clock.monotonicMs() < restsUntilMs) return undefined;
        isProbing = true;
      }
      return (answered) => {
        if (isProbe) isProbing = false;
        restsUntilMs = answered ? undefined : clock.monotonicMs() + restMs;
      };
    },
  };
}
