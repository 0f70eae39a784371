/** What the log says, as events to wait for. Lines are looked at once, in order. */
import { createLog, type Log } from '../../src/observability/log.ts';

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

export const isUp = '"Redis answers"';
export const isDown = 'Redis cannot be used';
export const isSubscribed = '"Redis tells of changes"';
