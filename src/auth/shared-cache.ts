/**
 * A cache of keys that many gateways share. An accelerator, never the guarantee: what it holds is
 * used only after it was checked against the feed of the store.
 *
 * Nothing here ever rejects or takes longer than the deadline of the cache (50 ms): a fault is the
 * same as an empty cache. Holds no key, only their hashes; nothing of unknown keys.
 */
import type { AgentNames, StoredKey, Versioned } from './key-source.ts';

/** What was committed: each key hash and project that changed, with the version of the change. */
export type Announcement = {
  readonly version: number;
  readonly keys: readonly string[];
  readonly projects: readonly string[];
};

export type SharedCache = {
  /** Undefined: it has none, or does not answer in time. */
  readKey(hash: string): Promise<Versioned<StoredKey> | undefined>;
  readAgents(projectId: string): Promise<Versioned<AgentNames> | undefined>;
  /** Stored for a fixed time, unless something newer is there (a tombstone counts). */
  fillKey(hash: string, key: Versioned<StoredKey>): Promise<void>;
  fillAgents(projectId: string, agents: Versioned<AgentNames>): Promise<void>;
  /**
   * Called by the store after a commit: leaves a tombstone of that version for each name, so that a
   * late fill loses, and wakes up every gateway that listens.
   */
  announce(announcement: Announcement): Promise<void>;
  /** `run` is called whenever any process announces something; it may be missed. */
  onAnnouncement(run: () => void): void;
};
