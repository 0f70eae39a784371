import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKeyLimits, type KeyLimits } from '../../src/auth/auth.ts';
import type { GatewayError } from '../../src/core/errors.ts';
import { createManualClock } from './manual-clock.ts';

const none = { requestsPerSecond: 0, spansPerSecond: 0, bytesPerSecond: 0 };

function limited(limits: Partial<typeof none>, keysMax?: number) {
  const clock = createManualClock();
  const keyLimits = createKeyLimits({
    limits: { ...none, ...limits },
    shared: undefined,
    clock,
    ...(keysMax === undefined ? {} : { keysMax }),
  });
  if (keyLimits === undefined) throw new Error('nothing is limited');
  return { clock, limits: keyLimits };
}

/** Undefined if it passes. */
function refusalOf(run: () => void | Promise<void>): GatewayError | undefined {
  try {
    expect(run()).toBeUndefined();
    return undefined;
  } catch (error) {
    return error as GatewayError;
  }
}
const passes = (run: () => void | Promise<void>) => refusalOf(run) === undefined;

/** How many pass at this moment; no test lets that many pass. */
function admitted(limits: KeyLimits, keyId = 'key_1'): number {
  let count = 0;
  while (count < 10_000 && passes(() => limits.admit(keyId))) count += 1;
  return count;
}

describe('limits of a key', () => {
  test('are none at all where every setting is 0', () => {
    const clock = createManualClock();
    expect(createKeyLimits({ limits: none, shared: undefined, clock })).toBeUndefined();
  });

  test.each([1, 3, 7, 100, 1000])('let exactly %i requests of a burst pass', (perSecond) => {
    const { clock, limits } = limited({ requestsPerSecond: perSecond });
    expect(admitted(limits)).toBe(perSecond);
    clock.advance(60_000);
    expect(admitted(limits)).toBe(perSecond);
  });

  test('let the rate pass while the key is used all the time', () => {
    const { clock, limits } = limited({ requestsPerSecond: 50 });
    admitted(limits);
    let count = 0;
    for (let step = 0; step < 1000; step += 1) {
      clock.advance(10);
      count += admitted(limits);
    }
    expect(count).toBe(500);
  });

  test('say how long to wait, and let the request pass then, not a millisecond earlier', () => {
    const { clock, limits } = limited({ spansPerSecond: 100 });
    expect(passes(() => limits.charge('key_1', { spans: 250, bytes: 0 }))).toBe(true);
    const refusal = refusalOf(() => limits.admit('key_1'));
    expect(refusal).toMatchObject({
      kind: 'rate_limited',
      hint: 'send fewer spans: this API key may send 100 spans per second',
    });
    const waitMs = refusal?.retryAfterMs ?? 0;
    expect(waitMs).toBe(1501);
    clock.advance(waitMs - 1);
    expect(passes(() => limits.admit('key_1'))).toBe(false);
    clock.advance(1);
    expect(passes(() => limits.admit('key_1'))).toBe(true);
  });

  test('let a batch of more than a second pass when something is left, then nothing', () => {
    const { clock, limits } = limited({ bytesPerSecond: 1000 });
    const charge = (bytes: number) => passes(() => limits.charge('key_1', { spans: 1, bytes }));
    expect([charge(999), charge(50_000), charge(1)]).toEqual([true, true, false]);
    clock.advance(49_000);
    expect(passes(() => limits.admit('key_1'))).toBe(false);
    clock.advance(1000);
    expect(charge(1)).toBe(true);
  });

  test('refuse by the limit that is in debt for longest', () => {
    const { limits } = limited({ requestsPerSecond: 1, spansPerSecond: 10, bytesPerSecond: 1 });
    limits.admit('key_1');
    limits.charge('key_1', { spans: 100, bytes: 5 });
    expect(refusalOf(() => limits.admit('key_1'))?.hint).toContain('10 spans per second');
  });

  test('that were used up while a body was read refuse it then', () => {
    const { limits } = limited({ spansPerSecond: 10 });
    limits.admit('key_1');
    limits.admit('key_1');
    limits.charge('key_1', { spans: 10, bytes: 1 });
    expect(passes(() => limits.charge('key_1', { spans: 10, bytes: 1 }))).toBe(false);
  });

  test('of other keys are their own', () => {
    const { limits } = limited({ requestsPerSecond: 2 });
    expect([admitted(limits), admitted(limits, 'key_2'), admitted(limits)]).toEqual([2, 2, 0]);
  });

  test('tell what is left of each, and how long a debt takes', () => {
    const { clock, limits } = limited({ requestsPerSecond: 10, spansPerSecond: 100 });
    limits.admit('key_1');
    limits.charge('key_1', { spans: 350, bytes: 1 });
    expect(limits.stateOf('key_1')).toEqual([
      { name: 'requests', perSecond: 10, left: 9, waitMs: 0 },
      { name: 'spans', perSecond: 100, left: 0, waitMs: 2501 },
    ]);
    clock.advance(3000);
    expect(limits.stateOf('key_1')[1]).toMatchObject({ left: 50, waitMs: 0 });
  });

  test('are remembered of so many keys only, and first forgotten of those not in use', () => {
    const { clock, limits } = limited({ requestsPerSecond: 1 }, 100);
    for (let index = 0; index < 50; index += 1) limits.admit(`idle_${index}`);
    clock.advance(1000);
    for (let index = 0; index < 99; index += 1) limits.admit(`busy_${index}`);
    for (let index = 0; index < 99; index += 1) expect(admitted(limits, `busy_${index}`)).toBe(0);
    for (let index = 0; index < 1000; index += 1) limits.admit(`more_${index}`);
    expect(admitted(limits, 'busy_0')).toBe(1);
  });

  test('never let more pass than rate × time, a second, and one batch', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 300 })),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), steps, (perSecond, all) => {
        const { clock, limits } = limited({ spansPerSecond: perSecond });
        const passed: { readonly atMs: number; readonly spans: number }[] = [];
        for (const [pauseMs, spans] of all) {
          clock.advance(pauseMs);
          const atMs = clock.monotonicMs();
          const isRefused = !passes(() => limits.charge('key_1', { spans, bytes: 0 }));
          if (!isRefused) passed.push({ atMs, spans });
          // Refused only where the budget of some time up to now was used.
          else expect(mostUsed(passed, perSecond, atMs)).toBeGreaterThanOrEqual(-0.01);
        }
        passed.forEach(({ atMs, spans }, index) => {
          const excess = mostUsed(passed.slice(0, index + 1), perSecond, atMs);
          expect(excess).toBeLessThanOrEqual(spans + 0.01);
        });
      }),
    );
  });
});

type Passed = { readonly atMs: number; readonly spans: number };

/** Of all windows that end now: the most that passed beyond rate × time + a second's worth. */
function mostUsed(passed: readonly Passed[], perSecond: number, nowMs: number): number {
  let sum = 0;
  const excesses = passed.toReversed().map(({ atMs, spans }) => {
    sum += spans;
    return sum - perSecond * ((nowMs - atMs) / 1000 + 1);
  });
  return Math.max(...excesses);
}
