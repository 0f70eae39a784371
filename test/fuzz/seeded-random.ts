/** Random numbers that a seed repeats, so that a finding can be run again. */
export type SeededRandom = {
  readonly seed: number;
  /** A whole number from 0 up to but not including `limit`. */
  below(limit: number): number;
  pick<T>(choices: readonly T[]): T;
};

/** `FUZZ_SEED` repeats a run. */
export function seedOfRun(): number {
  return Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
}

export function createSeededRandom(seed = seedOfRun()): SeededRandom {
  let state = seed;
  // mulberry32: small, and good enough to choose mutations.
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    seed,
    below,
    pick: (choices) => choices[below(choices.length)] as (typeof choices)[number],
  };
}
