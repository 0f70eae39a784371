/** Last-used dates while the wall clock is set; the rest is in auth.test.ts. */
import { expect, test } from 'vitest';
import { createLastUsed } from '../../src/auth/last-used.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createSteppedClock, settled } from './open-key-cache.ts';

const minuteMs = 60_000;

function opened() {
  const clock = createSteppedClock();
  const written: number[] = [];
  const lastUsed = createLastUsed({
    store: { recordUsage: async (batch) => void written.push(...batch.values()) },
    clock,
    log: createObservability({ level: 'info', destination: { write: () => true } }).log,
  });
  async function use(): Promise<void> {
    lastUsed.note('key_a');
    clock.advance(30_000);
    await settled();
  }
  return { clock, written, use };
}

test('a use is written although the clock was far ahead at an earlier one', async () => {
  const { clock, written, use } = opened();
  clock.setWall(525_600 * minuteMs);
  await use();
  clock.setWall(-525_600 * minuteMs);
  const minute = Math.floor(clock.wallMs() / minuteMs) * minuteMs;
  await use();
  expect(written).toEqual([expect.any(Number), minute]);
});

test('a clock that is set back a little costs no writes', async () => {
  const { clock, written, use } = opened();
  await use();
  for (let count = 0; count < 3; count += 1) {
    clock.setWall(-minuteMs);
    await use();
  }
  expect(written).toHaveLength(1);
});
