/** The in-flight budget: never over its bound, first come first served. */
import { describe, expect, test } from 'vitest';
import { createBudget } from '../../src/core/budget.ts';
import type { Clock } from '../../src/core/clock.ts';

/** Timers that run when the test says so. */
function manualClock(): Clock & { expire(): void } {
  const timers = new Set<() => void>();
  return {
    wallMs: () => 0,
    monotonicMs: () => 0,
    after(_delayMs, run) {
      timers.add(run);
      return () => timers.delete(run);
    },
    expire() {
      for (const run of [...timers]) {
        timers.delete(run);
        run();
      }
    },
  };
}

describe('the in-flight budget', () => {
  test('refuses what does not fit, and has room again once something was released', () => {
    const budget = createBudget(10, manualClock());
    expect(budget.tryReserve(7)).toBe(true);
    expect(budget.tryReserve(4)).toBe(false);
    budget.release(7);
    expect(budget.tryReserve(10)).toBe(true);
    expect(budget.usedBytes).toBe(10);
  });

  test('a waiter gets its room in order of arrival, and nobody overtakes it', async () => {
    const budget = createBudget(10, manualClock());
    budget.tryReserve(8);
    const order: string[] = [];
    const large = budget.reserve(9, 1_000).then(() => order.push('large'));
    const small = budget.reserve(1, 1_000).then(() => order.push('small'));
    expect(budget.tryReserve(1)).toBe(false);
    budget.release(8);
    await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
    expect(budget.usedBytes).toBe(10);
  });

  test('what was admitted already stays, and nobody is let in beside it', async () => {
    const budget = createBudget(10, manualClock());
    budget.tryReserve(8);
    budget.takeOver(8);
    budget.release(8);
    expect(budget.usedBytes).toBe(8);
    expect(budget.tryReserve(3)).toBe(false);
    budget.release(8);
    expect(budget.tryReserve(10)).toBe(true);
  });

  test('after the wait it is refused as overloaded, and those behind it are served', async () => {
    const clock = manualClock();
    const budget = createBudget(10, clock);
    budget.tryReserve(8);
    const large = budget.reserve(9, 1_000);
    clock.expire();
    await expect(large).rejects.toMatchObject({ kind: 'overloaded' });
    await budget.reserve(2, 1_000);
    expect(budget.usedBytes).toBe(10);
  });
});
