/**
 * All that one gateway knows of the registry, and the one step that applies a poll to it.
 *
 * Invariant: what is in memory is right as of `known.version` at least. So each value that is put
 * here was checked against the known changes in the same turn, and each change that comes later
 * ends it.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../observability/observability.ts';
import { createFence, type Fence } from './fence.ts';
import { createKeyMemory, type KeyMemory } from './key-memory.ts';
import type { Changes } from './key-source.ts';
import { createKnownChanges, type KnownChanges, type Mark } from './known-changes.ts';
import { createUnknownKeys, type UnknownKeys } from './unknown-keys.ts';

export type KeyView = {
  readonly fence: Fence;
  readonly known: KnownChanges;
  readonly memory: KeyMemory;
  readonly unknownKeys: UnknownKeys;
  /**
   * What a poll brought that began at `mark`. Synchronous, and whole when it returns. Throws
   * `store_unavailable`, and has done nothing.
   */
  apply(changes: Changes, mark: Mark): void;
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

  function forget(): void {
    memory.clear();
    unknownKeys.clear();
  }

  /** The registry is another one: restored from a backup, or failed over with loss. */
  function startOver(version: number): void {
    log.warn({ version, before: known.version }, 'the registry of API keys went back; read anew');
    forget();
    known.startTimeline(version);
  }

  return {
    fence,
    known,
    memory,
    unknownKeys,
    apply(changes, mark) {
      // Empty tables are those of a restore that is under way. They tell of no key, and yet its
      // clients must not be told that there is none.
      if (changes.version === 0 && known.version !== 0) throw storeIsRestored();
      if (!known.continues(changes, mark)) {
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
  };
}

function storeIsRestored(): GatewayError {
  return new GatewayError('store_unavailable', 'send it again shortly: the key store is empty', {
    cause: new Error('the tables of the registry are empty, as while a backup is restored'),
  });
}
