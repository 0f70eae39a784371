/**
 * The demo of `dev`: a project with two agents, a key of one agent and a key of the whole project.
 *
 * The store shows a key once, but whoever restarts the demo wants to paste its lines again. So
 * these two keys, and no others, are kept in a file that only its owner can read. What is missing,
 * such as a demo key that was revoked, is made anew. Who deletes the file wants its keys gone:
 * all keys of their names in the project are revoked, as nothing tells by then which they were.
 */

import { hash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Project, RegistryError, type Store } from '../auth/auth.ts';
import { Refusal } from './refusal.ts';
import { actor, allItems } from './registry.ts';

export type Demo = {
  readonly projectName: string;
  /** Reaches the support bot alone. */
  readonly supportKey: string;
  /** Reaches every agent of the project. */
  readonly projectKey: string;
  readonly keysPath: string;
};

export const supportBot = { id: '5a9d1c3e-7b24-4f60-8e1d-2c6f0b7a4d11', name: 'Support bot' };
export const salesBot = { id: '8c3f2b7a-1d95-4e0c-a6b8-9f4e5d2c1b02', name: 'Sales bot' };

const projectName = 'Demo';
const supportVariable = 'MIBO_SUPPORT_BOT_KEY';
const projectVariable = 'MIBO_PROJECT_KEY';
const supportKeyName = 'Demo: Support bot';
const projectKeyName = 'Demo: all agents';

export async function ensureDemo(store: Store, storePath: string): Promise<Demo> {
  const project = await findOrAdd(store);
  const { id: projectId } = project;
  const agents = await allItems((page) => store.agents.list({ ...page, projectId }));
  for (const agent of [supportBot, salesBot]) {
    if (agents.some(({ id }) => id === agent.id)) continue;
    await store.agents.add({ projectId, ...agent, by: actor() });
  }
  const keysPath = join(dirname(storePath), 'dev', 'keys.env');
  const kept = readKeys(keysPath);
  if (kept === undefined) await revokeKeys(store, projectId);
  const supportKey =
    (await working(store, kept?.get(supportVariable))) ??
    (await createKey(store, { projectId, name: supportKeyName, agents: [supportBot.id] }));
  const projectKey =
    (await working(store, kept?.get(projectVariable))) ??
    (await createKey(store, { projectId, name: projectKeyName }));
  writeKeys(keysPath, { supportKey, projectKey });
  return { projectName, supportKey, projectKey, keysPath };
}

async function findOrAdd(store: Store): Promise<Project> {
  try {
    return await store.projects.find(projectName);
  } catch (fault) {
    if (!(fault instanceof RegistryError) || fault.code !== 'not_found') throw fault;
    return store.projects.add({ name: projectName, by: actor() });
  }
}

async function createKey(
  store: Store,
  key: { readonly projectId: string; readonly name: string; readonly agents?: readonly string[] },
): Promise<string> {
  return (await store.keys.create({ ...key, by: actor() })).key;
}

async function revokeKeys(store: Store, projectId: string): Promise<void> {
  const keys = await allItems((page) => store.keys.list({ ...page, projectId }));
  for (const { id, name } of keys) {
    if (name !== supportKeyName && name !== projectKeyName) continue;
    await store.keys.revoke(id, { by: actor() });
  }
}

/** The key if the store still knows it and it has not expired. */
async function working(store: Store, key: string | undefined): Promise<string | undefined> {
  if (key === undefined) return undefined;
  const grant = await store.lookup(hash('sha256', key));
  const expiresAtMs = grant?.expiresAtMs ?? Number.POSITIVE_INFINITY;
  return grant !== undefined && expiresAtMs > Date.now() ? key : undefined;
}

/** Variable → key; undefined where there is no file. */
function readKeys(path: string): ReadonlyMap<string, string> | undefined {
  try {
    const lines = readFileSync(path, 'utf8').matchAll(/^(?:export )?(\w+)=(\S+)$/gm);
    return new Map([...lines].map(([, name = '', value = '']) => [name, value]));
  } catch (error) {
    // The first start, or somebody has tidied up. A file that cannot be read is still there.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : new Map();
  }
}

function writeKeys(path: string, keys: Pick<Demo, 'supportKey' | 'projectKey'>): void {
  const text = [
    '# The demo keys of `npm start`, for `source`. Once this file is deleted, the next start',
    `# revokes all keys named "${supportKeyName}" or "${projectKeyName}" in the project`,
    `# ${projectName}, and makes new ones.`,
    `export ${supportVariable}=${keys.supportKey}`,
    `export ${projectVariable}=${keys.projectKey}`,
    '',
  ].join('\n');
  try {
    if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Beside it and then in its place, so that nobody ever reads half a file or a public one.
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, text, { mode: 0o600 });
    chmodSync(draft, 0o600);
    renameSync(draft, path);
  } catch (error) {
    throw new Refusal(`make ${dirname(path)} writable: ${(error as Error).message}`);
  }
}
