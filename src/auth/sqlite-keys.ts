/** Changing keys in SQLite. Every change reads, checks and writes in one transaction. */
import type { Clock } from '../core/clock.ts';
import { type ChangeEntry, keyEntries } from './key-audit.ts';
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
import { foreignAgent, keyTaken, noKey } from './registry-refusals.ts';
import { recordChange } from './sqlite-audit.ts';
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import { keyRecord, keyRecords } from './sqlite-key-records.ts';
import { requireProject } from './sqlite-projects.ts';
import type { KeyRecord, Keys } from './store.ts';

/** One change as it is carried out: where, when and by whom. */
type Change = { readonly connection: Connection; readonly atMs: number; readonly by: string };

export function createKeys(file: SqliteFile, clock: Clock): Keys {
  function change<T>(by: string, run: (change: Change) => T): Promise<T> {
    return file.write((connection) => run({ connection, atMs: clock.wallMs(), by }));
  }

  const writes: KeyWrites = {
    add: (addition) => change(addition.wanted.by, (at) => add(at, addition)),
    rename: (id, { name, by }) => change(by, (at) => rename(at, id, name)),
    rescope: (id, { scope, name, by }) =>
      change(by, (at) => {
        if (name !== undefined) rename(at, id, name);
        return rescope(at, id, scope);
      }),
    rotate: (id, to) => change(to.by, (at) => rotate(at, id, to)),
    // Every lookup, in any process, sees the commit; there is nothing left to wait for.
    revoke: (id, { by, projectId }) => change(by, (at) => revoke(at, id, projectId)),
  };

  return {
    ...createKeyChanges(writes, clock),
    async list(query = {}) {
      return file.read((connection) => keyRecords(connection, query, clock.wallMs()));
    },
    async get(id) {
      return file.read((connection) => keyRecord(connection, id, clock.wallMs()));
    },
  };
}

function add(at: Change, addition: Addition): KeyRecord {
  const row = rowOf(addition, at);
  requireProject(at.connection, row.projectId);
  const record = insert(at, row);
  audit(at, keyEntries.added(record, addition.action));
  return record;
}

function rename(at: Change, id: string, name: string): KeyRecord {
  const before = keyRecord(at.connection, id, at.atMs);
  at.connection.run('UPDATE api_keys SET name = ? WHERE id = ?', name, id);
  const record = keyRecord(at.connection, id, at.atMs);
  audit(at, keyEntries.renamed(record, before));
  return record;
}

function rescope(at: Change, id: string, scope: Scope): KeyRecord {
  const before = keyRecord(at.connection, id, at.atMs);
  at.connection.run('DELETE FROM api_key_agents WHERE key_id = ?', id);
  at.connection.run('UPDATE api_keys SET scope = ? WHERE id = ?', scopeWord(scope), id);
  insertScope(at.connection, before, scope);
  const record = keyRecord(at.connection, id, at.atMs);
  audit(at, keyEntries.rescoped(record, before));
  return record;
}

function rotate(at: Change, id: string, to: Replacement): KeyRecord {
  const old = keyRecord(at.connection, id, at.atMs);
  const { row, oldExpiresAtMs } = rowOfRotation(old, to, at);
  at.connection.run('UPDATE api_keys SET expires_at_ms = ? WHERE id = ?', oldExpiresAtMs, id);
  const record = insert(at, row);
  audit(at, keyEntries.rotated(record, oldExpiresAtMs));
  return record;
}

function revoke(at: Change, id: string, projectId: string | undefined): void {
  const record = keyRecord(at.connection, id, at.atMs);
  if (record.projectId !== (projectId ?? record.projectId)) throw noKey(id);
  at.connection.run('UPDATE api_keys SET revoked_at_ms = ? WHERE id = ?', at.atMs, id);
  at.connection.run('DELETE FROM api_key_agents WHERE key_id = ?', id);
  at.connection.run('DELETE FROM api_key_usage WHERE key_id = ?', id);
  audit(at, keyEntries.revoked(record));
}

function insert({ connection, atMs }: Change, row: NewRow): KeyRecord {
  const known = connection.get<{ revoked_at_ms: number | null }>(
    'SELECT revoked_at_ms FROM api_keys WHERE hash = ?',
    row.hash,
  );
  if (known !== undefined) throw keyTaken(known.revoked_at_ms === null ? 'active' : 'revoked');
  connection.run(
    `INSERT INTO api_keys (${newRowColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ...row.values,
  );
  insertScope(connection, row, row.scope);
  return keyRecord(connection, row.id, atMs);
}

function insertScope(
  connection: Connection,
  key: Pick<KeyRecord, 'id' | 'projectId'>,
  scope: Scope,
): void {
  if (scope === 'all') return;
  for (const agentId of scope) {
    const own = 'SELECT 1 FROM agents WHERE id = ? AND project_id = ?';
    if (connection.get(own, agentId, key.projectId) === undefined) {
      throw foreignAgent(agentId);
    }
    connection.run('INSERT INTO api_key_agents (key_id, agent_id) VALUES (?, ?)', key.id, agentId);
  }
}

function audit({ connection, atMs, by }: Change, entry: ChangeEntry): void {
  recordChange(connection, { ...entry, by, atMs });
}
