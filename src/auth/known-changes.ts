/**
 * What the feed has told: which versions there are, and which keys and projects changed at them.
 *
 * Invariant: every change with a version above `from` and up to `version` that is not in the table
 * has nothing to do with the name that is asked for. So a record that was right as of a version
 * from `from` on, and whose name has no newer change here, is right as of `version` too. Its
 * version must be one of this registry: one that was lost with a failover, or that a restored
 * backup does not have, is nobody's, since versions are never given twice.
 *
 *          from ─────────────── all known ─────────────── version
 *   records below: refused                     records above: right as of a later moment
 *
 * Old changes are forgotten, and `from` rises over them: no record lives that long.
 */
import type { Clock } from '../core/clock.ts';
import type { Changes } from './key-source.ts';

/** Where the registry stood, for this gateway, when a read of the primary began. */
export type Mark = {
  readonly version: number;
  readonly timeline: number;
  /** Versions that reads have met and the feed has not told of yet. */
  readonly ahead: readonly number[];
};

export type KnownChanges = {
  /** The cursor of the feed: every change up to it is known. Undefined before it began. */
  readonly version: number | undefined;
  note(changes: Changes): void;
  /** Whether they are of the registry that was known when the poll began, at `mark`. */
  continues(changes: Changes, mark: Mark): boolean;
  /** The feed begins at `version`: anything may have changed up to it. */
  startAt(version: number): void;
  /** The registry that this gateway knew is gone: reads that began in it count no more. */
  startTimeline(version: number): void;
  mark(): Mark;
  /** A record that was read from the primary after `mark`, and the changes known by now, agree. */
  agrees(name: string, version: number, mark: Mark): boolean;
  /**
   * A record from elsewhere is right as of the last applied poll. What is of a version that the
   * feed has not told of is not believed: it may be ahead, and the feed gets there within a poll;
   * or it is of a registry that is gone.
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
  /** Version → when the next one was noted; in order, from `from` on. The last is the newest. */
  const versions = new Map<number, number>();
  /** Met by reads of the primary before the feed told of them. */
  const ahead = new Set<number>();
  let from: number | undefined;
  let version: number | undefined;
  let timeline = 0;

  function startAt(at: number): void {
    latest.clear();
    versions.clear();
    // What is not above it counts no more, as `from` is; what is above it is yet to be told of.
    for (const each of ahead) if (each <= at) ahead.delete(each);
    versions.set(at, clock.monotonicMs());
    from = at;
    version = at;
  }

  function forgetOld(nowMs: number): void {
    for (const [name, change] of latest) {
      if (latest.size <= changesMax && nowMs - change.notedAtMs < keepMs) return;
      latest.delete(name);
      from = Math.max(from ?? 0, change.version);
    }
  }

  function forgetOldVersions(nowMs: number): void {
    for (const [each, endedAtMs] of versions) {
      const isOld = versions.size > changesMax || nowMs - endedAtMs >= keepMs;
      if (each === version || !(isOld || each < (from ?? 0))) return;
      versions.delete(each);
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
      for (const [name, changedAt] of [...changes.keys, ...changes.projects]) {
        latest.delete(name);
        latest.set(name, { version: changedAt, notedAtMs: nowMs });
      }
      // What was read until now is of the newest so far, however old that is.
      if (version !== undefined) versions.set(version, nowMs);
      for (const each of changes.versions) {
        versions.set(each, nowMs);
        ahead.delete(each);
      }
      version = changes.version;
      forgetOld(nowMs);
      forgetOldVersions(nowMs);
    },
    startTimeline(at) {
      ahead.clear();
      startAt(at);
      timeline += 1;
    },
    continues: ({ knowsStart, version: newest, versions: told, tooMany }, mark) =>
      // Of too many none is told, and only that one is newer than the newest shows that it is gone.
      knowsStart && mark.ahead.every((each) => (tooMany ? each <= newest : told.includes(each))),
    mark: () => ({ version: version ?? 0, timeline, ahead: [...ahead] }),
    agrees(name, readAt, mark) {
      // A server that is behind what was known before it was asked is not the primary.
      if (mark.timeline !== timeline || readAt < mark.version) return false;
      if (from !== undefined && !isUnchanged(name, readAt)) return false;
      if (readAt > (version ?? 0)) ahead.add(readAt);
      return true;
    },
    vouchesFor: (name, readAt) => versions.has(readAt) && isUnchanged(name, readAt),
  };
}
