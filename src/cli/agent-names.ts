/** The names of agents, for those who watch traces while others register agents. */
import type { Store } from '../auth/auth.ts';
import { allItems } from './registry.ts';

/** Resolves with id → name, which holds these ids as far as the store knows them. */
export type AgentNames = (ids: readonly string[]) => Promise<ReadonlyMap<string, string>>;

/** Looks into the store where an id is new, once for all ids of a call. */
export function createAgentNames(store: Store): AgentNames {
  let known: ReadonlyMap<string, string> = new Map();
  return async (ids) => {
    if (ids.every((id) => known.has(id))) return known;
    try {
      known = await readNames(store);
    } catch {
      // A name is not worth a delivery: the ids are shown as they are.
    }
    return known;
  };
}

async function readNames(store: Store): Promise<ReadonlyMap<string, string>> {
  const projects = await allItems((page) => store.projects.list(page));
  const lists = await Promise.all(
    projects.map(({ id: projectId }) =>
      allItems((page) => store.agents.list({ ...page, projectId })),
    ),
  );
  return new Map(lists.flat().map(({ id, name }) => [id, name]));
}
