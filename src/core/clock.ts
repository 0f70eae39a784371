/** Time is passed in, so that a test can own it. */
export type Clock = {
  /** Unix milliseconds. */
  wallMs(): number;
  /** Milliseconds that never go backwards; for deadlines and leases. */
  monotonicMs(): number;
  /** Runs `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void;
};

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
