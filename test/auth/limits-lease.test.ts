import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKeyLimits, type KeyLimits } from '../../src/auth/auth.ts';
import type { GatewayError } from '../../src/core/errors.ts';
import { createLimitStoreInMemory } from './limit-store-in-memory.ts';
import { createManualClock } from './manual-clock.ts';

const none = { requestsPerSecond: 0, spansPerSecond: 0, bytesPerSecond: 0 };
const keyId = 'key_1';

/** Gateways that share the limits of their keys. */
function gateways(count: number, limits: Partial<typeof none>) {
  const clock = createManualClock();
  const shared = createLimitStoreInMemory(clock);
  const all = Array.from({ length: count }, () => {
    const made = createKeyLimits({ limits: { ...none, ...limits }, shared, clock });
    if (made === undefined) throw new Error('nothing is limited');
    return made;
  });
  return { clock, shared, all, first: all[0] as KeyLimits };
}

async function passes(run: () => void | Promise<void>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    expect((error as GatewayError).kind).toBe('rate_limited');
    return false;
  }
}

const admits = (limits: KeyLimits) => passes(() => limits.admit(keyId));
const charges = (limits: KeyLimits, spans: number) =>
  passes(() => limits.charge(keyId, { spans, bytes: 0 }));

/** How many pass at this moment; no test lets that many pass. */
async function admitted(limits: KeyLimits): Promise<number> {
  let count = 0;
  while (count < 10_000 && (await admits(limits))) count += 1;
  return count;
}

/** Lets answers that are not waited for arrive. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('limits that gateways share', () => {
  test('hold for all of them together', async () => {
    const { clock, all } = gateways(3, { requestsPerSecond: 30 });
    let passed = 0;
    for (let round = 0; round < 100; round += 1) {
      for (const limits of all) if (await admits(limits)) passed += 1;
    }
    expect(passed).toBe(30);
    for (let step = 0; step < 100; step += 1) {
      clock.advance(10);
      for (const limits of all) if (await admits(limits)) passed += 1;
    }
    expect(passed).toBeGreaterThanOrEqual(59);
    expect(passed).toBeLessThanOrEqual(61);
  });

  test('let one gateway alone have all', async () => {
    const { first } = gateways(3, { requestsPerSecond: 30 });
    expect(await admitted(first)).toBe(30);
  });

  test('seldom make a request wait, and ask little, for a key that is busy', async () => {
    const { clock, shared, first } = gateways(1, { requestsPerSecond: 1000, spansPerSecond: 1e6 });
    let waited = 0;
    for (let step = 0; step < 4000; step += 1) {
      clock.advance(2);
      for (const answer of [first.admit(keyId), first.charge(keyId, { spans: 100, bytes: 0 })]) {
        if (answer === undefined) continue;
        waited += 1;
        await answer;
      }
      await settled();
    }
    expect(waited).toBeLessThan(20);
    // Eight seconds: about one portion each 50 ms.
    expect(shared.asked.length).toBeLessThan(240);
  });

  test('hold nothing back from other gateways for a key that is seldom used', async () => {
    const { clock, shared, first } = gateways(1, { requestsPerSecond: 100 });
    for (let step = 0; step < 20; step += 1) {
      clock.advance(500);
      expect(await admits(first)).toBe(true);
    }
    expect(shared.asked.flat().map(({ extra }) => extra)).toEqual(new Array(20).fill(0));
  });

  test('forget what was leased and not used for a second', async () => {
    const { clock, shared, first } = gateways(1, { requestsPerSecond: 100 });
    for (let step = 0; step < 10; step += 1) await admits(first);
    await settled();
    clock.advance(1000);
    expect(first.admit(keyId)).toBeUndefined();
    await settled();
    clock.advance(1001);
    await admits(first);
    expect(shared.asked.at(-1)).toMatchObject([{ need: 1 }]);
  });

  test('ask once for a thousand requests that come at once', async () => {
    const { shared, first } = gateways(1, { requestsPerSecond: 100_000 });
    shared.hold(true);
    const all = Array.from({ length: 1000 }, () => admits(first));
    await settled();
    expect(shared.asked).toHaveLength(1);
    shared.hold(false);
    expect(new Set(await Promise.all(all))).toEqual(new Set([true]));
    expect(shared.asked.length).toBeLessThanOrEqual(3);
  });

  test('refuse a crowd of which only some can pass, and that soon', async () => {
    const { shared, first } = gateways(1, { requestsPerSecond: 100 });
    const all = await Promise.all(Array.from({ length: 1000 }, () => admits(first)));
    expect(all.filter(Boolean)).toHaveLength(100);
    expect(shared.asked.length).toBeLessThan(30);
  });

  test('once in debt are refused without asking until it is paid', async () => {
    const { clock, shared, all, first } = gateways(2, { spansPerSecond: 100 });
    expect(await charges(first, 500)).toBe(true);
    const other = all[1] as KeyLimits;
    expect(await charges(other, 1)).toBe(false);
    const before = shared.asked.length;
    for (const limits of all) {
      expect(await admits(limits)).toBe(false);
      expect(await charges(limits, 1)).toBe(false);
    }
    expect(shared.asked.length).toBe(before);
    expect(other.stateOf(keyId)).toMatchObject([{ left: 0, waitMs: 4001 }]);
    clock.advance(4001);
    expect([await admits(other), await admits(first)]).toEqual([true, true]);
  });

  test('need no answer for what costs nothing, while there is no debt', async () => {
    const { shared, first } = gateways(1, { spansPerSecond: 100 });
    expect(await admits(first)).toBe(true);
    expect(shared.asked).toHaveLength(0);
  });

  test('are those of each gateway while the store does not answer, then shared again', async () => {
    const { clock, shared, all } = gateways(2, { requestsPerSecond: 50 });
    shared.isUp = false;
    for (const limits of all) expect(await admitted(limits)).toBe(50);
    shared.isUp = true;
    clock.advance(1000);
    let passed = 0;
    for (let round = 0; round < 100; round += 1) {
      for (const limits of all) if (await admits(limits)) passed += 1;
    }
    expect(passed).toBe(50);
  });

  test('that a gateway used up do not begin anew when the store fails', async () => {
    const { shared, first } = gateways(1, { requestsPerSecond: 50 });
    for (let step = 0; step < 30; step += 1) expect(await admits(first)).toBe(true);
    shared.isUp = false;
    expect(await admitted(first)).toBe(20);
  });

  test('never let more pass than rate × time, a second, and one batch', async () => {
    const step = fc.record({
      pauseMs: fc.constantFrom(0, 0, 0, 1, 20, 150, 1200),
      gateway: fc.integer({ min: 0, max: 2 }),
      spans: fc.integer({ min: 0, max: 120 }),
    });
    const rates = fc.integer({ min: 20, max: 500 });
    await fc.assert(
      fc.asyncProperty(rates, fc.array(step, { maxLength: 120 }), async (perSecond, steps) => {
        const { clock, all } = gateways(3, { spansPerSecond: perSecond });
        let passed = 0;
        const charge = async (limits: KeyLimits, spans: number) => {
          if (await charges(limits, spans)) passed += spans;
        };
        const running: Promise<void>[] = [];
        for (const { pauseMs, gateway, spans } of steps) {
          if (pauseMs > 0) await Promise.all(running.splice(0));
          clock.advance(pauseMs);
          running.push(charge(all[gateway] as KeyLimits, spans));
        }
        await Promise.all(running);
        const most = perSecond * (1 + clock.monotonicMs() / 1000) + 120;
        expect(passed).toBeLessThanOrEqual(most);
      }),
      { numRuns: 300 },
    );
  });
});
