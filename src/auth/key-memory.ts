/**
 * The keys that this gateway has in memory (L1).
 *
 * Does not know whether it may be used: that is the fence's to say. Keeps what it was handed until
 * the feed names it, at most for a fixed time from the load, and at most `keysMax` keys.
 */
import type { Clock } from '../core/clock.ts';
import type { AgentNames, StoredKey, Versioned } from './key-source.ts';
import {
  type AllProjectAgents,
  createProjectAgents,
  outdated,
  type ProjectAgents,
} from './project-agents.ts';
import type { Grant } from './store.ts';

export type KeyMemory = {
  /** What is fresh at `nowMs` (monotonic). */
  get(hash: string, nowMs: number): Grant | undefined;
  /** It is or was here not long ago, so it is no garbage. */
  knows(hash: string): boolean;
  /** The grant of a key that was read just now. */
  put(hash: string, key: Versioned<StoredKey>, project: ProjectAgents): Grant;
  /** The primary says that there is no such key. */
  remove(hash: string): void;
  /** It changed at `version`: what is older is not used any more, whatever the fence says. */
  outdate(hash: string, version: number): void;
  clear(): void;
  readonly projects: AllProjectAgents;
  readonly size: number;
};

export type KeyMemoryOptions = {
  readonly clock: Clock;
  readonly keysMax: number;
  readonly ttlMs: number;
};

type Entry = {
  readonly grant: Grant;
  readonly version: number;
  readonly project: ProjectAgents;
  freshUntilMs: number;
  /** Since the hand of the clock went by. */
  used: boolean;
};

/** Bounds the search for room; after so many recently used keys the next has to go. */
const sparedMax = 16;

export function createKeyMemory({ clock, keysMax, ttlMs }: KeyMemoryOptions): KeyMemory {
  const entries = new Map<string, Entry>();
  const projects = createProjectAgents(clock, ttlMs);
  let hand = entries.entries();

  function remove(hash: string): void {
    const entry = entries.get(hash);
    if (entry === undefined) return;
    entries.delete(hash);
    projects.release(entry.project.id);
  }

  function nextInRound(): [string, Entry] | undefined {
    const next = hand.next();
    if (next.done !== true) return next.value;
    hand = entries.entries();
    return hand.next().value;
  }

  /** The clock algorithm: a hit costs one flag, and what was used gets a second round. */
  function makeRoom(): void {
    for (let spared = 0; spared <= sparedMax; spared += 1) {
      const [hash, entry] = nextInRound() ?? [];
      if (hash === undefined || entry === undefined) return;
      if (!entry.used || spared === sparedMax) {
        remove(hash);
        return;
      }
      entry.used = false;
    }
  }

  return {
    get(hash, nowMs) {
      const entry = entries.get(hash);
      // The key and its project's agents: each has its own time.
      if (entry === undefined || entry.freshUntilMs <= nowMs) return undefined;
      if (entry.project.freshUntilMs <= nowMs) return undefined;
      entry.used = true;
      return entry.grant;
    },
    knows: (hash) => entries.has(hash),
    put(hash, { version, value }, project) {
      remove(hash);
      if (entries.size >= keysMax) makeRoom();
      projects.hold(project);
      const grant = grantOf(value, project.agents);
      const freshUntilMs = clock.monotonicMs() + ttlMs;
      entries.set(hash, { grant, version, project, freshUntilMs, used: false });
      return grant;
    },
    remove,
    outdate(hash, version) {
      const entry = entries.get(hash);
      if (entry !== undefined && entry.version < version) entry.freshUntilMs = outdated;
    },
    clear() {
      entries.clear();
      projects.clear();
      hand = entries.entries();
    },
    projects,
    get size() {
      return entries.size;
    },
  };
}

/**
 * All unrestricted keys of a project share its map. A scope gets the agents that are in it and in
 * the project: one that names others widens nothing.
 */
export function grantOf(key: StoredKey, projectAgents: AgentNames): Grant {
  const { keyId, keyName, projectId, expiresAtMs } = key;
  const isScoped = key.scope === 'agents';
  const scope = isScoped ? 'agents' : 'project';
  const agents = isScoped ? scopedAgents(key, projectAgents) : projectAgents;
  return { tenant: { projectId, keyId, keyName, scope, agents }, expiresAtMs };
}

function scopedAgents({ agents }: StoredKey, projectAgents: AgentNames): AgentNames {
  const reachable = new Map<string, string>();
  for (const id of agents) {
    const name = projectAgents.get(id);
    if (name !== undefined) reachable.set(id, name);
  }
  return reachable;
}
