/** A store that is tested, and what the tests of it share. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Grant, Project, RegistryErrorCode, Store } from '../../src/auth/auth.ts';
import { hashKey } from '../../src/auth/key-format.ts';
import type { ManualClock } from './manual-clock.ts';

export type OpenedStore = {
  readonly store: Store;
  readonly clock: ManualClock;
  /** Past the store: one statement that every kind of store understands. */
  sql(statement: string): Promise<unknown>;
};

/** Makes a fresh, empty store; it is closed by who made it. */
export type OpenStore = () => Promise<OpenedStore>;

export const by = 'test:ada';
export const hourMs = 3_600_000;

export async function withProject(
  open: OpenStore,
): Promise<OpenedStore & { readonly project: Project }> {
  const opened = await open();
  return { ...opened, project: await opened.store.projects.add({ name: 'shop', by }) };
}

/** Two agents in one project. */
export async function withAgents(open: OpenStore) {
  const opened = await withProject(open);
  const [a, b] = [randomUUID(), randomUUID()];
  const projectId = opened.project.id;
  await opened.store.agents.add({ projectId, id: a, name: 'Support bot', by });
  await opened.store.agents.add({ projectId, id: b, name: 'Sales bot', by });
  return { ...opened, projectId, a, b };
}

export async function lookup(store: Store, key: string): Promise<Grant | undefined> {
  return store.lookup(hashKey(key));
}

/** Resolves with the message of the refusal. */
export async function refuses(change: Promise<unknown>, code: RegistryErrorCode): Promise<string> {
  const error: unknown = await change.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: 'RegistryError', code });
  return (error as Error).message;
}
