/**
 * All that one gateway knows of the registry, and the one step that applies a poll to it.
 *
 * Invariant: what is in memory is right as of `known.version` at least. So each value that is put
 * here was checked against the known changes in the same turn, and each change that comes later
 * ends it.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import { createFence, type Fence } from './fence.ts';
import { createKeyMemory, type KeyMemory } from './key-memory.ts';
import type { Changes } from './key-source.ts';
import { createKnownChanges, type KnownChanges } from './known-changes.ts';
import { createUnknownKeys, type UnknownKeys } from './unknown-keys.ts';

export type KeyView = {
  readonly fence: Fence;
  readonly known: KnownChanges;
  readonly memory: KeyMemory;
  readonly unknownKeys: UnknownKeys;
  /** Synchronous, and whole when it returns. */
  apply(changes: Changes): void;
  /** Whether records of the shared cache can be judged now. */
  canJudgeShared(): boolean;
};

export type KeyViewOptions = {
  readonly clock: Clock;
  readonly log: Log;
  readonly keysMax: number;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly leaseMs: number;
  /** How old a record may be that was not read from the primary just now. */
  readonly recordsLiveMs: number;
};

const unknownKeysMax = 10_000;
const knownChangesMax = 50_000;

export function createKeyView(options: KeyViewOptions): KeyView {
  const { clock, log, keysMax, ttlMs, negativeTtlMs, leaseMs, recordsLiveMs } = options;
  const fence = createFence(clock, leaseMs);
  const known = createKnownChanges({ clock, keepMs: recordsLiveMs, changesMax: knownChangesMax });
  const memory = createKeyMemory({ clock, keysMax, ttlMs });
  const unknownKeys = createUnknownKeys({ clock, keysMax: unknownKeysMax, ttlMs: negativeTtlMs });
  let distrustsSharedUntilMs = Number.NEGATIVE_INFINITY;

  function forget(): void {
    memory.clear();
    unknownKeys.clear();
  }

  /**
   * The registry went back: restored from a backup, or failed over with loss. Its next versions
   * are those of changes that never were, and records of them may live in the shared cache.
   */
  function startOver(version: number): void {
    log.warn({ version, before: known.version }, 'the registry of API keys went back; read anew');
    forget();
    known.startTimeline(version);
    distrustsSharedUntilMs = clock.monotonicMs() + recordsLiveMs;
  }

  return {
    fence,
    known,
    memory,
    unknownKeys,
    apply(changes) {
      if (changes.version < (known.version ?? 0)) {
        startOver(changes.version);
        return;
      }
      if (changes.tooMany) {
        forget();
        known.startAt(changes.version);
        return;
      }
      known.note(changes);
      for (const [hash, version] of changes.keys) {
        memory.outdate(hash, version);
        unknownKeys.drop(hash, version);
      }
      for (const [id, version] of changes.projects) memory.projects.outdate(id, version);
    },
    canJudgeShared: () => fence.isOpen() && clock.monotonicMs() >= distrustsSharedUntilMs,
  };
}
