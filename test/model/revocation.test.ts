/**
 * The guarantee of the key cache, against chance: whatever order loads, polls, changes, faults of
 * the shared cache, clocks and pauses come in,
 *   - nothing that was taken away is granted a lease after its commit, or once the call returned;
 *   - no key is called unknown that existed all the time, nor after the call that made it returned;
 *   - no agent of another project is ever reached;
 *   - every request is answered, and a refusal is never anything but "try again".
 *
 * A failure names the seed that repeats it: FUZZ_SEED=… vitest run test/model/revocation.test.ts
 */
import { expect, test } from 'vitest';
import { seedOfRun } from '../fuzz/seeded-random.ts';
import { playRevocation, seen } from './revocation-play.ts';

const runs = Number(process.env.MODEL_RUNS ?? 100_000);

test(`holds in ${runs} random orders of events`, { timeout: 600_000 }, async () => {
  const seed = seedOfRun();
  for (let run = 0; run < runs; run += 1) await playRevocation(seed + run);
  console.log(seen);
  for (const [what, times] of Object.entries(seen)) {
    expect(times, `${what} is rare`).toBeGreaterThan(runs / 1_000);
  }
});
