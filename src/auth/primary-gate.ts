/**
 * What lookups do while the primary does not answer: one at a time tries, the others fail at once.
 *
 * A primary that hangs would otherwise cost every request the whole deadline, and one that comes
 * back would find all of them waiting. One failed read is enough to shut it: what needs the primary
 * is few while memory counts, its failures are retried by the clients, and it is tried again a
 * tenth of a second later.
 *
 * It may be one key alone that cannot be read. So a failure shuts nothing if the primary answered
 * others meanwhile, and keys that failed try for themselves, one of them at a time, beside the one
 * that tries for all. So of all requests during an outage, fewer than four a second wait.
 */
import type { Clock } from '../core/clock.ts';

export type PrimaryGate = {
  /**
   * For the key with this hash. Undefined: not now. Else to be called once with whether the primary
   * answered.
   */
  enter(hash: string): ((answered: boolean) => void) | undefined;
};

type Lane = { restsUntilMs: number; isTaken: boolean };

const restMs = 100;
/** Bounds the memory; one that is forgotten may try for all. */
const failedMax = 1_000;

export function createPrimaryGate(clock: Clock): PrimaryGate {
  const newLane = (): Lane => ({ restsUntilMs: 0, isTaken: false });
  const lanes = { forAll: newLane(), forItself: newLane() };
  /** Since the primary last answered. The gate is shut while there are any. */
  const failed = new Set<string>();
  let answers = 0;

  function shut(hash: string, resting: readonly Lane[]): void {
    if (failed.size >= failedMax) failed.clear();
    failed.add(hash);
    for (const lane of resting) lane.restsUntilMs = clock.monotonicMs() + restMs;
  }

  function laneOf(hash: string): Lane | undefined {
    if (failed.size === 0) return undefined;
    return failed.has(hash) ? lanes.forItself : lanes.forAll;
  }

  return {
    enter(hash) {
      const lane = laneOf(hash);
      if (lane !== undefined) {
        if (lane.isTaken || clock.monotonicMs() < lane.restsUntilMs) return undefined;
        lane.isTaken = true;
      }
      const answersBefore = answers;
      return (answered) => {
        if (lane !== undefined) lane.isTaken = false;
        if (answered) {
          answers += 1;
          failed.clear();
        } else if (answers === answersBefore) {
          shut(hash, lane === undefined ? Object.values(lanes) : [lane]);
        }
      };
    },
  };
}
