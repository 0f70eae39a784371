/**
 * What the feed has told: which keys and projects changed, and at which version.
 *
 * Invariant: every change with a version above `from` and up to `version` that is not in the table
 * has nothing to do with the name that is asked for. So a record that was right as of a version
 * from `from` on, and whose name has no newer change here, is right as of `version` too.
 *
 *          from ─────────────── all known ─────────────── version
 *   records below: refused                     records above: right as of a later moment
 *
 * Old changes are forgotten, and `from` rises over them: no record lives that long.
 */
import type { Clock } from '../core/clock.ts';
import type { Changes } from './key-source.ts';

/** Where the registry stood, for this gateway, when a read of the primary began. */
export type Mark = { readonly version: number; readonly timeline: number };

export type KnownChanges = {
  /** The cursor of the feed: every change up to it is known. Undefined before it began. */
  readonly version: number | undefined;
  note(changes: Changes): void;
  /** The feed begins at `version`: anything may have changed up to it. */
  startAt(version: number): void;
  /** The registry that this gateway knew is gone: reads that began in it count no more. */
  startTimeline(version: number): void;
  mark(): Mark;
  /** A record that was read from the primary after `mark`, and the changes known by now, agree. */
  agrees(name: string, version: number, mark: Mark): boolean;
  /**
   * A record from elsewhere is right as of the last applied poll. What is ahead of the feed is not
   * believed: it cannot be checked, and the feed gets there within a poll.
   */
  vouchesFor(name: string, version: number): boolean;
};

export type KnownChangesOptions = {
  readonly clock: Clock;
  /** How long a record may live elsewhere, and so how long changes are worth keeping. */
  readonly keepMs: number;
  readonly changesMax: number;
};

type Change = { readonly version: number; readonly notedAtMs: number };

export function createKnownChanges(options: KnownChangesOptions): KnownChanges {
  const { clock, keepMs, changesMax } = options;
  /** By key hash and by project id, which never look alike; in the order of noting. */
  const latest = new Map<string, Change>();
  let from: number | undefined;
  let version: number | undefined;
  let timeline = 0;

  function startAt(at: number): void {
    latest.clear();
    from = at;
    version = at;
  }

  function noteAll(names: ReadonlyMap<string, number>, notedAtMs: number): void {
    for (const [name, changedAt] of names) {
      latest.delete(name);
      latest.set(name, { version: changedAt, notedAtMs });
    }
  }

  function forgetOld(nowMs: number): void {
    for (const [name, change] of latest) {
      if (latest.size <= changesMax && nowMs - change.notedAtMs < keepMs) return;
      latest.delete(name);
      from = Math.max(from ?? 0, change.version);
    }
  }

  const isUnchanged = (name: string, since: number): boolean =>
    from !== undefined && since >= from && (latest.get(name)?.version ?? 0) <= since;

  return {
    get version() {
      return version;
    },
    startAt,
    note(changes) {
      const nowMs = clock.monotonicMs();
      noteAll(changes.keys, nowMs);
      noteAll(changes.projects, nowMs);
      version = changes.version;
      forgetOld(nowMs);
    },
    startTimeline(at) {
      startAt(at);
      timeline += 1;
    },
    mark: () => ({ version: version ?? 0, timeline }),
    agrees(name, readAt, mark) {
      // A server that is behind what was known before it was asked is not the primary.
      if (mark.timeline !== timeline || readAt < mark.version) return false;
      return from === undefined || isUnchanged(name, readAt);
    },
    vouchesFor: (name, readAt) =>
      version !== undefined && readAt <= version && isUnchanged(name, readAt),
  };
}
