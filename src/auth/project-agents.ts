/**
 * The agents of the projects whose keys are in memory. One object for all keys of a project, so
 * that one change ends them all; it goes with its last key.
 */
import type { Clock } from '../core/clock.ts';
import type { AgentNames, Versioned } from './key-source.ts';

export type ProjectAgents = {
  readonly id: string;
  readonly agents: AgentNames;
  version: number;
  /** Monotonic milliseconds. */
  freshUntilMs: number;
};

export type AllProjectAgents = {
  /** What is fresh at `nowMs`. */
  get(id: string, nowMs: number): ProjectAgents | undefined;
  /** Read just now. Not kept yet: that comes with the first key that holds it. */
  loaded(id: string, agents: Versioned<AgentNames>): ProjectAgents;
  hold(project: ProjectAgents): void;
  release(id: string): void;
  /** They changed at `version`. */
  outdate(id: string, version: number): void;
  clear(): void;
  readonly size: number;
};

/** A time that has always been over. */
export const outdated = Number.NEGATIVE_INFINITY;

type Kept = { current: ProjectAgents; keys: number };

export function createProjectAgents(clock: Clock, ttlMs: number): AllProjectAgents {
  const projects = new Map<string, Kept>();

  return {
    get(id, nowMs) {
      const current = projects.get(id)?.current;
      return current !== undefined && current.freshUntilMs > nowMs ? current : undefined;
    },
    loaded(id, { version, value }) {
      const freshUntilMs = clock.monotonicMs() + ttlMs;
      const kept = projects.get(id)?.current;
      if (kept === undefined || !isSame(kept.agents, value)) {
        return { id, agents: value, version, freshUntilMs };
      }
      // Read again, and the same: its keys need not be read again one by one.
      kept.version = Math.max(kept.version, version);
      kept.freshUntilMs = freshUntilMs;
      return kept;
    },
    hold(project) {
      const kept = projects.get(project.id);
      if (kept === undefined) {
        projects.set(project.id, { current: project, keys: 1 });
        return;
      }
      kept.keys += 1;
      if (kept.current === project) return;
      // Only the current one hears of changes, so no key may go on with the one before.
      kept.current.freshUntilMs = outdated;
      kept.current = project;
    },
    release(id) {
      const kept = projects.get(id);
      if (kept === undefined) return;
      kept.keys -= 1;
      if (kept.keys === 0) projects.delete(id);
    },
    outdate(id, version) {
      const current = projects.get(id)?.current;
      if (current !== undefined && current.version < version) current.freshUntilMs = outdated;
    },
    clear: () => projects.clear(),
    get size() {
      return projects.size;
    },
  };
}

function isSame(one: AgentNames, other: AgentNames): boolean {
  if (one.size !== other.size) return false;
  for (const [id, name] of one) {
    if (other.get(id) !== name) return false;
  }
  return true;
}
