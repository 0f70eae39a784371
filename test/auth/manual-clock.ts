/** Time that stands still until a test moves it. */
import type { Clock } from '../../src/core/clock.ts';

export type ManualClock = Clock & {
  /** Runs what is due, in order. */
  advance(ms: number): void;
};

export function createManualClock(startMs = Date.UTC(2026, 10, 24, 12)): ManualClock {
  let nowMs = 0;
  const timers = new Set<{ readonly dueAtMs: number; readonly run: () => void }>();
  return {
    wallMs: () => startMs + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { dueAtMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        const [next] = [...timers]
          .filter(({ dueAtMs }) => dueAtMs <= endMs)
          .sort((a, b) => a.dueAtMs - b.dueAtMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.dueAtMs);
        next.run();
      }
      nowMs = endMs;
    },
  };
}
