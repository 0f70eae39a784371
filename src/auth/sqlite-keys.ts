/** Changing keys in SQLite. Every change reads, checks and writes in one transaction. */
import type { Clock } from '../core/clock.ts';
import { generateKey, hashKey, keyFormats, lastFour, randomBase62 } from './key-format.ts';
import { auditedKey } from './registry-records.ts';
import { foreignAgent, keyTaken } from './registry-refusals.ts';
import {
  checkExpiry,
  checkGrace,
  checkImportedKey,
  checkName,
  checkScope,
  expiriesOfRotation,
  idChars,
  idPrefixes,
} from './registry-rules.ts';
import { recordChange } from './sqlite-audit.ts';
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import { keyRecord, keyRecords } from './sqlite-key-records.ts';
import { requireProject } from './sqlite-projects.ts';
import type { AuditAction, KeyRecord, Keys, NewKey } from './store.ts';

type Scope = 'all' | readonly string[];

/** One change as it is carried out: where, when and by whom. */
type Change = { readonly connection: Connection; readonly atMs: number; readonly by: string };

export function createKeys(file: SqliteFile, clock: Clock): Keys {
  function change<T>(by: string, run: (change: Change) => T): Promise<T> {
    return file.write((connection) => run({ connection, atMs: clock.wallMs(), by }));
  }

  return {
    async create(wanted) {
      const key = generateKey();
      const record = await change(wanted.by, (at) =>
        add(at, { action: 'key.create', key, format: keyFormats.generated, wanted }),
      );
      return { record, key };
    },
    async importKey(wanted) {
      checkImportedKey(wanted.key);
      const { key } = wanted;
      return change(wanted.by, (at) =>
        add(at, { action: 'key.import', key, format: keyFormats.imported, wanted }),
      );
    },
    async list(query = {}) {
      return file.read((connection) => keyRecords(connection, query, clock.wallMs()));
    },
    async get(id) {
      return file.read((connection) => keyRecord(connection, id, clock.wallMs()));
    },
    async rename(id, { name, by }) {
      const checked = checkName(name);
      return change(by, (at) => rename(at, id, checked));
    },
    async setScope(id, { agents, name, by }) {
      const scope = agents === 'all' ? agents : checkScope(agents);
      const checked = name === undefined ? undefined : checkName(name);
      return change(by, (at) => {
        if (checked !== undefined) rename(at, id, checked);
        return rescope(at, id, scope);
      });
    },
    async rotate(id, { graceMs, by }) {
      checkGrace(graceMs);
      const key = generateKey();
      const record = await change(by, (at) => rotate(at, id, { key, graceMs }));
      return { record, key };
    },
    async revoke(id, { by }) {
      const startedAtMs = clock.monotonicMs();
      await change(by, (at) => revoke(at, id));
      // Every lookup, in any process, sees the commit; there is nothing left to wait for.
      return {
        effective: true,
        effectiveAfterMs: Math.ceil(clock.monotonicMs() - startedAtMs),
      };
    },
  };
}

type Addition = {
  readonly action: AuditAction;
  readonly key: string;
  readonly format: number;
  readonly wanted: NewKey;
};

function add(at: Change, { action, key, format, wanted }: Addition): KeyRecord {
  const name = checkName(wanted.name);
  checkExpiry(wanted.expiresAtMs, at.atMs);
  requireProject(at.connection, wanted.projectId);
  const record = insert(at, {
    key,
    format,
    name,
    projectId: wanted.projectId,
    scope: wanted.agents === undefined ? 'all' : checkScope(wanted.agents),
    expiresAtMs: wanted.expiresAtMs,
  });
  audit(at, record, { action });
  return record;
}

function rename(at: Change, id: string, name: string): KeyRecord {
  const before = keyRecord(at.connection, id, at.atMs);
  at.connection.run('UPDATE api_keys SET name = ? WHERE id = ?', name, id);
  const record = keyRecord(at.connection, id, at.atMs);
  audit(at, record, { action: 'key.rename', nameBefore: before.name });
  return record;
}

function rescope(at: Change, id: string, scope: Scope): KeyRecord {
  const before = keyRecord(at.connection, id, at.atMs);
  at.connection.run('DELETE FROM api_key_agents WHERE key_id = ?', id);
  at.connection.run('UPDATE api_keys SET scope = ? WHERE id = ?', scopeWord(scope), id);
  insertScope(at.connection, before, scope);
  const record = keyRecord(at.connection, id, at.atMs);
  audit(at, record, {
    action: 'key.scope',
    scopeBefore: before.scope,
    agentsBefore: before.agents,
  });
  return record;
}

function rotate(
  at: Change,
  id: string,
  { key, graceMs }: { readonly key: string; readonly graceMs: number },
): KeyRecord {
  const old = keyRecord(at.connection, id, at.atMs);
  const { oldExpiresAtMs, expiresAtMs } = expiriesOfRotation(old, at.atMs, graceMs);
  at.connection.run('UPDATE api_keys SET expires_at_ms = ? WHERE id = ?', oldExpiresAtMs, id);
  const record = insert(at, {
    key,
    format: keyFormats.generated,
    name: old.name,
    projectId: old.projectId,
    scope: old.scope === 'all' ? 'all' : old.agents,
    expiresAtMs,
    rotatedFrom: id,
  });
  audit(at, record, { action: 'key.rotate', rotatedFrom: id, oldExpiresAtMs });
  return record;
}

function revoke(at: Change, id: string): void {
  const record = keyRecord(at.connection, id, at.atMs);
  at.connection.run('UPDATE api_keys SET revoked_at_ms = ? WHERE id = ?', at.atMs, id);
  at.connection.run('DELETE FROM api_key_agents WHERE key_id = ?', id);
  at.connection.run('DELETE FROM api_key_usage WHERE key_id = ?', id);
  audit(at, record, { action: 'key.revoke', createdBy: record.createdBy });
}

type Insertion = {
  readonly key: string;
  readonly format: number;
  readonly name: string;
  readonly projectId: string;
  readonly scope: Scope;
  readonly expiresAtMs: number | undefined;
  readonly rotatedFrom?: string;
};

function insert({ connection, atMs, by }: Change, row: Insertion): KeyRecord {
  const hash = hashKey(row.key);
  const known = connection.get<{ revoked_at_ms: number | null }>(
    'SELECT revoked_at_ms FROM api_keys WHERE hash = ?',
    hash,
  );
  if (known !== undefined) {
    throw keyTaken(known.revoked_at_ms === null ? 'active' : 'revoked');
  }
  const id = `${idPrefixes.key}${randomBase62(idChars)}`;
  connection.run(
    'INSERT INTO api_keys (id, project_id, name, hash, fmt, last4, scope, expires_at_ms, ' +
      'rotated_from, created_by, created_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    id,
    row.projectId,
    row.name,
    hash,
    row.format,
    lastFour(row.key),
    scopeWord(row.scope),
    row.expiresAtMs ?? null,
    row.rotatedFrom ?? null,
    by,
    atMs,
  );
  insertScope(connection, { id, projectId: row.projectId }, row.scope);
  return keyRecord(connection, id, atMs);
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

function scopeWord(scope: Scope): KeyRecord['scope'] {
  return scope === 'all' ? 'all' : 'agents';
}

function audit(
  { connection, atMs, by }: Change,
  key: KeyRecord,
  what: { readonly action: AuditAction; readonly [detail: string]: unknown },
): void {
  const { action, ...more } = what;
  recordChange(connection, {
    action,
    projectId: key.projectId,
    subjectId: key.id,
    by,
    atMs,
    details: { ...auditedKey(key), ...more },
  });
}
