/** What the log says, as events to wait for. Lines are looked at once, in order. */
import { createLog, type Log } from '../../src/observability/log.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

export type WatchedLog = {
  readonly log: Log;
  readonly lines: readonly string[];
  /** The next line with this text, said already or yet to come. */
  next(text: string): Promise<string>;
};

export function watchLog(): WatchedLog {
  const lines: string[] = [];
  let seen = 0;
  let look = (): void => {};
  return {
    log: createLog({
      level: 'debug',
      destination: {
        write(line) {
          lines.push(line);
          look();
        },
      },
    }),
    lines,
    next(text) {
      return new Promise((resolve) => {
        look = () => {
          const at = lines.findIndex((line, index) => index >= seen && line.includes(text));
          if (at < 0) return;
          seen = at + 1;
          look = () => {};
          resolve(lines[at] ?? '');
        };
        look();
      });
    },
  };
}

export type SteppingClock = ManualClock & {
  /** Goes to where the next timer is due, and no further: it must not end what it begins. */
  step(): void;
};

export function createSteppingClock(): SteppingClock {
  const clock = createManualClock();
  const dueAtMs = new Set<{ readonly ms: number }>();
  return {
    ...clock,
    after(delayMs, run) {
      const due = { ms: clock.monotonicMs() + delayMs };
      dueAtMs.add(due);
      const cancel = clock.after(delayMs, () => {
        dueAtMs.delete(due);
        run();
      });
      return () => {
        dueAtMs.delete(due);
        cancel();
      };
    },
    step() {
      const nextMs = Math.min(...[...dueAtMs].map(({ ms }) => ms));
      clock.advance(nextMs - clock.monotonicMs());
    },
  };
}

/** Lets time pass to the next attempt whenever one has failed, until the log says this. */
export async function untilSaid(
  { watched, clock }: { readonly watched: WatchedLog; readonly clock: SteppingClock },
  text: string,
): Promise<void> {
  while (!(await watched.next('"msg":"Redis ')).includes(text)) clock.step();
}

export const isUp = '"Redis answers"';
export const isDown = 'Redis cannot be used';
export const isSubscribed = '"Redis tells of changes"';
