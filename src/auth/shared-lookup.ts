/**
 * A key from the shared cache. What is there may be old, of a dump, or filled in too late: it
 * counts only while the fence is open, and only if the feed vouches for each record.
 */
import type { Clock } from '../core/clock.ts';
import type { Versioned } from './key-source.ts';
import type { KeyView } from './key-view.ts';
import type { SharedCache } from './shared-cache.ts';
import type { Grant } from './store.ts';

/** Undefined: nothing there that counts. */
export type SharedLookup = (hash: string) => Promise<Grant | undefined>;

export type SharedLookupOptions = {
  readonly shared: SharedCache;
  readonly clock: Clock;
  readonly view: KeyView;
};

export function createSharedLookup({ shared, clock, view }: SharedLookupOptions): SharedLookup {
  const { fence, known, memory } = view;

  function isRight(name: string, record: Versioned<unknown>): boolean {
    return fence.isOpen() && known.vouchesFor(name, record.version);
  }

  return async (hash) => {
    if (!fence.isOpen()) return undefined;
    const key = await shared.readKey(hash);
    if (key === undefined || !isRight(hash, key)) return undefined;
    const { projectId } = key.value;
    const inMemory = memory.projects.get(projectId, clock.monotonicMs());
    if (inMemory !== undefined) return memory.put(hash, key, inMemory);
    const agents = await shared.readAgents(projectId);
    if (agents === undefined || !isRight(hash, key) || !isRight(projectId, agents)) {
      return undefined;
    }
    return memory.put(hash, key, memory.projects.loaded(projectId, agents));
  };
}
