/**
 * Requests to stop, from signals: the first asks for an orderly stop, another one means at once.
 */

/** A terminal signals the whole group and a parent passes signals on: that is one signal. */
const sameSignalMs = 500;
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The part of `process` that is used. */
export type SignalSource = {
  on(name: string, listener: () => void): unknown;
  readonly channel?: { unref(): void } | null | undefined;
};

export type StopSignalOptions = {
  readonly process: SignalSource;
  /** Called for a further signal. */
  readonly stopNow: () => void;
  /** Monotonic milliseconds. */
  readonly nowMs?: () => number;
};

/** Resolves with the name of the first signal, or `disconnect` if our parent process is gone. */
export function stopSignal(options: StopSignalOptions): Promise<string> {
  const { process, stopNow, nowMs = () => performance.now() } = options;
  const lastAtMs = new Map<string, number>();
  let stopping = false;
  return new Promise((resolve) => {
    const request = (name: string) => {
      const sinceMs = nowMs() - (lastAtMs.get(name) ?? Number.NEGATIVE_INFINITY);
      if (sinceMs < sameSignalMs) return;
      lastAtMs.set(name, nowMs());
      if (stopping) stopNow();
      stopping = true;
      resolve(name);
    };
    for (const name of stopSignals) process.on(name, () => request(name));
    // The bootstrap process holds the other end; killed outright, it cannot pass a signal on.
    process.on('disconnect', () => {
      stopping = true;
      resolve('disconnect');
    });
    process.channel?.unref();
  });
}
