/**
 * Log lines about what the downstream does: each kind at most once a minute, with the number of
 * those in between, so that an outage does not flood the log. Counters count every one.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';

export type Notes = {
  /** `kind` and `about` (an agent's id, or '') together say what counts as the same. */
  warn(about: NoteSubject, message: string, fields: object): void;
};

export type NoteSubject = { readonly kind: string; readonly about: string };

const quietMs = 60_000;
/** Bounds the memory; the oldest entry goes first, and would then be logged again too early. */
const entriesMax = 1_000;

type Entry = { readonly loggedAtMs: number; suppressed: number };

export function createNotes(log: Log, clock: Clock): Notes {
  const entries = new Map<string, Entry>();
  return {
    warn({ kind, about }, message, fields) {
      const name = `${kind} ${about}`;
      const nowMs = clock.monotonicMs();
      const entry = entries.get(name);
      if (entry !== undefined && nowMs - entry.loggedAtMs < quietMs) {
        entry.suppressed += 1;
        return;
      }
      entries.delete(name);
      const oldest = entries.keys().next().value;
      if (entries.size >= entriesMax && oldest !== undefined) entries.delete(oldest);
      entries.set(name, { loggedAtMs: nowMs, suppressed: 0 });
      log.warn({ ...fields, suppressed: entry?.suppressed ?? 0 }, message);
    },
  };
}
