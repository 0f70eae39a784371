/** A shared cache in memory that keeps every record it was given, so that old ones can return. */
import type { AgentNames, StoredKey, Versioned } from '../../src/auth/key-source.ts';
import type { SharedCache } from '../../src/auth/shared-cache.ts';

export type FakeSharedCache = SharedCache & {
  readonly keys: Map<string, Versioned<StoredKey>>;
  readonly agents: Map<string, Versioned<AgentNames>>;
  isDown: boolean;
  /** Every gateway that listens is woken up. */
  wakeAll(): void;
};

export function createFakeSharedCache(): FakeSharedCache {
  const listeners: (() => void)[] = [];
  const keys = new Map<string, Versioned<StoredKey>>();
  const agents = new Map<string, Versioned<AgentNames>>();
  const shared: FakeSharedCache = {
    keys,
    agents,
    isDown: false,
    wakeAll: () => {
      for (const run of listeners) run();
    },
    readKey: async (hash) => (shared.isDown ? undefined : keys.get(hash)),
    readAgents: async (projectId) => (shared.isDown ? undefined : agents.get(projectId)),
    async fillKey(hash, key) {
      if (!shared.isDown) keys.set(hash, key);
    },
    async fillAgents(projectId, read) {
      if (!shared.isDown) agents.set(projectId, read);
    },
    async announce() {
      shared.wakeAll();
    },
    onAnnouncement: (run) => listeners.push(run),
  };
  return shared;
}
