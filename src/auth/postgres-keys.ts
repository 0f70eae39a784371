/** Changing keys in PostgreSQL. Every change reads, checks and writes in one transaction. */
import type { Clock } from '../core/clock.ts';
import { keyEntries } from './key-audit.ts';
import {
  type Addition,
  createKeyChanges,
  type KeyWrites,
  type NewRow,
  newRowColumns,
  type Replacement,
  rowOf,
  rowOfRotation,
  type Scope,
  scopeWord,
} from './key-changes.ts';
import { keyRecord, keyRecords } from './postgres-key-records.ts';
import type { SqlValue } from './postgres-pool.ts';
import { requireProject } from './postgres-projects.ts';
import { type Change, drawVersion, type Registry, recordChange } from './postgres-registry.ts';
import type { RegistryError } from './registry-error.ts';
import { foreignAgent, keyTaken, noKey } from './registry-refusals.ts';
import type { KeyRecord, Keys } from './store.ts';

export function createKeys(registry: Registry, clock: Clock): Keys {
  const { change, changeEverywhere } = registry;

  const writes: KeyWrites = {
    add(addition) {
      // No gateway can know anything of a key that was made just now.
      const run = addition.action === 'key.create' ? change : changeEverywhere;
      return run(addition.wanted.by, (at) => add(at, addition));
    },
    rename: (id, { name, by }) => change(by, (at) => rename(at, id, name)),
    rescope: (id, { scope, name, by }) =>
      changeEverywhere(by, async (at) => {
        if (name !== undefined) await rename(at, id, name);
        return rescope(at, id, scope);
      }),
    rotate: (id, to) => changeEverywhere(to.by, (at) => rotate(at, id, to)),
    async revoke(id, { by, projectId }) {
      const refusal = await changeEverywhere(by, (at) => revoke(at, id, projectId));
      if (refusal !== undefined) throw refusal;
    },
  };

  return {
    ...createKeyChanges(writes, clock),
    async list(query = {}) {
      return registry.read((session) => keyRecords(session, query, clock.wallMs()));
    },
    async get(id) {
      return registry.read((session) => keyRecord(session, id, clock.wallMs()));
    },
  };
}

async function add(at: Change, addition: Addition): Promise<KeyRecord> {
  const row = rowOf(addition, at);
  await requireProject(at.session, row.projectId);
  await drawVersion(at);
  const record = await insert(at, row);
  // Somebody may have sent it before it was known here, which no gateway is to remember.
  if (addition.action === 'key.import') at.made.staleKeys.add(row.hash);
  await recordChange(at, keyEntries.added(record, addition.action));
  return record;
}

async function rename(at: Change, id: string, name: string): Promise<KeyRecord> {
  const before = await keyRecord(at.session, id, at.atMs);
  await update(at, id, { name });
  const record = await keyRecord(at.session, id, at.atMs);
  await recordChange(at, keyEntries.renamed(record, before));
  return record;
}

async function rescope(at: Change, id: string, scope: Scope): Promise<KeyRecord> {
  const before = await keyRecord(at.session, id, at.atMs);
  await at.session.query('DELETE FROM api_key_agents WHERE key_id = $1', [id]);
  await update(at, id, { scope: scopeWord(scope) });
  await insertScope(at, before, scope);
  const record = await keyRecord(at.session, id, at.atMs);
  await recordChange(at, keyEntries.rescoped(record, before));
  return record;
}

async function rotate(at: Change, id: string, to: Replacement): Promise<KeyRecord> {
  const old = await keyRecord(at.session, id, at.atMs);
  const { row, oldExpiresAtMs } = rowOfRotation(old, to, at);
  await update(at, id, { expires_at_ms: oldExpiresAtMs });
  const record = await insert(at, row);
  await recordChange(at, keyEntries.rotated(record, oldExpiresAtMs));
  return record;
}

/** Resolves with the refusal of a key that was revoked just before: not said until it holds. */
async function revoke(
  at: Change,
  id: string,
  projectId: string | undefined,
): Promise<RegistryError | undefined> {
  const revoked = 'SELECT FROM api_keys WHERE id = $1 AND revoked_at_ms IS NOT NULL';
  if ((await at.session.query(revoked, [id])).length > 0) return noKey(id);
  const record = await keyRecord(at.session, id, at.atMs);
  if (record.projectId !== (projectId ?? record.projectId)) throw noKey(id);
  await update(at, id, { revoked_at_ms: at.atMs });
  await at.session.query('DELETE FROM api_key_agents WHERE key_id = $1', [id]);
  await at.session.query('DELETE FROM api_key_usage WHERE key_id = $1', [id]);
  await recordChange(at, keyEntries.revoked(record));
  return undefined;
}

/** Columns are written in this file only. */
async function update(at: Change, id: string, columns: Readonly<Record<string, SqlValue>>) {
  const version = await drawVersion(at);
  const sets = Object.keys(columns).map((column, index) => `${column} = $${index + 3}`);
  const [row] = await at.session.query<{ hash: string }>(
    `UPDATE api_keys SET version = $2, ${sets.join(', ')} WHERE id = $1 RETURNING hash`,
    [id, version, ...Object.values(columns)],
  );
  if (row !== undefined) at.made.staleKeys.add(row.hash);
}

/** Under the version that was drawn last. */
async function insert(at: Change, row: NewRow): Promise<KeyRecord> {
  const [known] = await at.session.query<{ revoked_at_ms: number | null }>(
    'SELECT revoked_at_ms FROM api_keys WHERE hash = $1',
    [row.hash],
  );
  if (known !== undefined) throw keyTaken(known.revoked_at_ms === null ? 'active' : 'revoked');
  await at.session.query(
    `INSERT INTO api_keys (${newRowColumns}, version) ` +
      'VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)',
    [...row.values, at.made.version],
  );
  await insertScope(at, row, row.scope);
  return keyRecord(at.session, row.id, at.atMs);
}

async function insertScope(
  at: Change,
  key: Pick<KeyRecord, 'id' | 'projectId'>,
  scope: Scope,
): Promise<void> {
  if (scope === 'all') return;
  const inserted = await at.session.query<{ agent_id: string }>(
    'INSERT INTO api_key_agents (key_id, agent_id) ' +
      'SELECT $1, id FROM agents WHERE project_id = $2 AND id = ANY($3) RETURNING agent_id',
    [key.id, key.projectId, scope],
  );
  const own = new Set(inserted.map(({ agent_id }) => agent_id));
  const foreign = scope.find((agentId) => !own.has(agentId));
  if (foreign !== undefined) throw foreignAgent(foreign);
}
