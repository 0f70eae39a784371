import type { Clock } from '../../src/core/clock.ts';

export type FakeClock = Clock & {
  /** Moves both clocks on and runs what is due, in order. */
  advance(ms: number): void;
  /** How many callbacks wait. */
  readonly pending: number;
  /** When the next callback is due, from now; undefined if none waits. */
  readonly nextInMs: number | undefined;
};

const startMs = Date.UTC(2026, 0, 1);

export function createFakeClock(): FakeClock {
  type Timer = { readonly atMs: number; readonly run: () => void };
  const timers = new Set<Timer>();
  let nowMs = 0;

  function next(): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of timers) if (first === undefined || timer.atMs < first.atMs) first = timer;
    return first;
  }

  return {
    wallMs: () => startMs + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (let timer = next(); timer !== undefined && timer.atMs <= untilMs; timer = next()) {
        timers.delete(timer);
        nowMs = timer.atMs;
        timer.run();
      }
      nowMs = untilMs;
    },
    get pending() {
      return timers.size;
    },
    get nextInMs() {
      const timer = next();
      return timer === undefined ? undefined : timer.atMs - nowMs;
    },
  };
}
