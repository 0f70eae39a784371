/** What the log says of one link to Redis: each new fault, the same one seldom, and its end. */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import { loggedRedisFault } from './redis-fault.ts';

export type RedisNotes = {
  fault(fault: unknown): void;
  up(): void;
};

export type RedisNotesOptions = {
  readonly clock: Clock;
  readonly log: Log | undefined;
  /** Host and port. */
  readonly redis: string;
  /** What a fault means. */
  readonly faultText: string;
  readonly upText: string;
};

const sameFaultIntervalMs = 60_000;
const otherFaultIntervalMs = 1_000;

export function createRedisNotes(options: RedisNotesOptions): RedisNotes {
  const { clock, log, redis } = options;
  let lastCause = '';
  let lastAtMs = Number.NEGATIVE_INFINITY;
  /** The end of a fault is told as loudly as its beginning was. */
  let told = true;

  return {
    fault(fault) {
      const logged = loggedRedisFault(fault);
      const intervalMs = logged.cause === lastCause ? sameFaultIntervalMs : otherFaultIntervalMs;
      const nowMs = clock.monotonicMs();
      const seldom = nowMs - lastAtMs >= intervalMs;
      if (seldom) {
        lastAtMs = nowMs;
        lastCause = logged.cause;
        told = true;
      }
      log?.[seldom ? 'warn' : 'debug']({ redis, ...logged }, options.faultText);
    },
    up() {
      log?.[told ? 'info' : 'debug']({ redis }, options.upText);
      told = false;
    },
  };
}
