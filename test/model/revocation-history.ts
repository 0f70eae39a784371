/**
 * What was true when, and which calls had returned: the judge of what gateways answer.
 * Knows nothing of caches.
 *
 * A key and the agents of its project may be known as of two moments; so each is judged by itself.
 */
import type { StoredKey } from '../../src/auth/key-source.ts';
import type { Grant } from '../../src/auth/store.ts';
import type { FakeRegistry } from '../auth/fake-source.ts';

/** From a change until the next one. */
type State<Value> = {
  readonly value: Value;
  /** When it ended; infinite for the present one. */
  untilMs: number;
  /** The call that ended it; it may not have returned yet. */
  endedBy: Call | undefined;
};

/** A call that changed the registry, and when it returned, in the order of events. */
export type Call = { returnedAt: number };

export type Answer = {
  readonly hash: string;
  /** In the order of events. */
  readonly askedAt: number;
  readonly grant: Grant | undefined;
  readonly nowMs: number;
  /** What was true less than that ago may be answered, */
  readonly windowMs: number;
  /** but not what a call ended that had returned before it was asked. */
  readonly minded: boolean;
};

export type History = {
  /** The registry has just changed. */
  changed(nowMs: number, call: Call): void;
  /** What is wrong with an answer; undefined if nothing is. */
  fault(answer: Answer): string | undefined;
};

export function createHistory(registry: FakeRegistry, hashes: readonly string[]): History {
  const keys = new Map<string, State<StoredKey | undefined>[]>();
  const projects = new Map<string, State<ReadonlyMap<string, string>>[]>();
  const present = { untilMs: Infinity, endedBy: undefined };
  for (const hash of hashes) keys.set(hash, [{ value: registry.keys.get(hash), ...present }]);
  for (const id of ['p1', 'p2'])
    projects.set(id, [{ value: registry.agents(id).value, ...present }]);

  function follow<Value>(
    states: State<Value>[] | undefined,
    value: Value,
    end: Partial<State<Value>>,
  ) {
    const last = states?.at(-1);
    if (last === undefined || last.value === value) return;
    Object.assign(last, end);
    states?.push({ value, ...present });
  }

  return {
    changed(nowMs, call) {
      const end = { untilMs: nowMs, endedBy: call };
      for (const [hash, states] of keys) follow(states, registry.keys.get(hash), end);
      for (const [id, states] of projects) follow(states, registry.agents(id).value, end);
    },
    fault(answer) {
      const { hash, grant } = answer;
      const recentKeys = recent(keys.get(hash), answer);
      if (grant === undefined) {
        return recentKeys.includes(undefined) ? undefined : 'unknown, and yet it was always there';
      }
      const existing = recentKeys.filter((key) => key !== undefined);
      const { projectId, agents } = grant.tenant;
      if (!existing.some((key) => key.projectId === projectId))
        return 'accepted, and yet it is gone';
      const recentProjects = recent(projects.get(projectId), answer);
      for (const agent of ['a', 'b', 'c']) {
        const may =
          existing.some((key) => admits(key, agent)) &&
          recentProjects.some((project) => project.has(agent));
        if (agents.has(agent) && !may) return `reaches ${agent}, and may not`;
        const must =
          recentKeys.every((key) => key !== undefined && admits(key, agent)) &&
          recentProjects.every((project) => project.has(agent));
        if (!agents.has(agent) && must) return `does not reach ${agent}, and may`;
      }
      return undefined;
    },
  };
}

function admits({ scope, agents }: StoredKey, agent: string): boolean {
  return scope === 'all' || agents.includes(agent);
}

function recent<Value>(
  states: readonly State<Value>[] | undefined,
  { nowMs, windowMs, minded, askedAt }: Answer,
): Value[] {
  const values: Value[] = [];
  for (const { value, untilMs, endedBy } of states ?? []) {
    if (untilMs <= nowMs - windowMs) continue;
    if (minded && endedBy !== undefined && endedBy.returnedAt < askedAt) continue;
    values.push(value);
  }
  return values;
}
