/** Changing keys in PostgreSQL. Every change reads, checks and writes in one transaction. */
import type { Clock } from '../core/clock.ts';
import { generateKey, hashKey, keyFormats, lastFour, randomBase62 } from './key-format.ts';
import { keyRecord, keyRecords } from './postgres-key-records.ts';
import type { SqlValue } from './postgres-pool.ts';
import { requireProject } from './postgres-projects.ts';
import { type Change, drawVersion, type Registry, recordChange } from './postgres-registry.ts';
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
import type { AuditAction, KeyRecord, Keys, NewKey } from './store.ts';

type Scope = 'all' | readonly string[];

export function createKeys(registry: Registry, clock: Clock): Keys {
  return {
    async create(wanted) {
      const key = generateKey();
      const made = { action: 'key.create', key, format: keyFormats.generated, wanted } as const;
      const record = await registry.change(wanted.by, (at) => add(at, made));
      return { record, key };
    },
    async importKey(wanted) {
      const { key } = wanted;
      checkImportedKey(key);
      const made = { action: 'key.import', key, format: keyFormats.imported, wanted } as const;
      return registry.changeEverywhere(wanted.by, (at) => add(at, made));
    },
    async list(query = {}) {
      return registry.read((session) => keyRecords(session, query, clock.wallMs()));
    },
    async get(id) {
      return registry.read((session) => keyRecord(session, id, clock.wallMs()));
    },
    async rename(id, { name, by }) {
      const checked = checkName(name);
      return registry.change(by, (at) => rename(at, id, checked));
    },
    async setScope(id, { agents, name, by }) {
      const scope = agents === 'all' ? agents : checkScope(agents);
      const checked = name === undefined ? undefined : checkName(name);
      return registry.changeEverywhere(by, async (at) => {
        if (checked !== undefined) await rename(at, id, checked);
        return rescope(at, id, scope);
      });
    },
    async rotate(id, { graceMs, by }) {
      checkGrace(graceMs);
      const key = generateKey();
      const record = await registry.changeEverywhere(by, (at) => rotate(at, id, { key, graceMs }));
      return { record, key };
    },
    async revoke(id, { by }) {
      const startedAtMs = clock.monotonicMs();
      await registry.changeEverywhere(by, (at) => revoke(at, id));
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

async function add(at: Change, { action, key, format, wanted }: Addition): Promise<KeyRecord> {
  const name = checkName(wanted.name);
  checkExpiry(wanted.expiresAtMs, at.atMs);
  await requireProject(at.session, wanted.projectId);
  await drawVersion(at);
  const record = await insert(at, {
    key,
    format,
    name,
    projectId: wanted.projectId,
    scope: wanted.agents === undefined ? 'all' : checkScope(wanted.agents),
    expiresAtMs: wanted.expiresAtMs,
  });
  await audit(at, record, { action });
  return record;
}

async function rename(at: Change, id: string, name: string): Promise<KeyRecord> {
  const before = await keyRecord(at.session, id, at.atMs);
  await update(at, id, { name });
  const record = await keyRecord(at.session, id, at.atMs);
  await audit(at, record, { action: 'key.rename', nameBefore: before.name });
  return record;
}

async function rescope(at: Change, id: string, scope: Scope): Promise<KeyRecord> {
  const before = await keyRecord(at.session, id, at.atMs);
  await at.session.query('DELETE FROM api_key_agents WHERE key_id = $1', [id]);
  await update(at, id, { scope: scopeWord(scope) });
  await insertScope(at, before, scope);
  const record = await keyRecord(at.session, id, at.atMs);
  await audit(at, record, {
    action: 'key.scope',
    scopeBefore: before.scope,
    agentsBefore: before.agents,
  });
  return record;
}

async function rotate(
  at: Change,
  id: string,
  { key, graceMs }: { readonly key: string; readonly graceMs: number },
): Promise<KeyRecord> {
  const old = await keyRecord(at.session, id, at.atMs);
  const { oldExpiresAtMs, expiresAtMs } = expiriesOfRotation(old, at.atMs, graceMs);
  await update(at, id, { expires_at_ms: oldExpiresAtMs });
  const record = await insert(at, {
    key,
    format: keyFormats.generated,
    name: old.name,
    projectId: old.projectId,
    scope: old.scope === 'all' ? 'all' : old.agents,
    expiresAtMs,
    rotatedFrom: id,
  });
  await audit(at, record, { action: 'key.rotate', rotatedFrom: id, oldExpiresAtMs });
  return record;
}

async function revoke(at: Change, id: string): Promise<void> {
  const record = await keyRecord(at.session, id, at.atMs);
  await update(at, id, { revoked_at_ms: at.atMs });
  await at.session.query('DELETE FROM api_key_agents WHERE key_id = $1', [id]);
  await at.session.query('DELETE FROM api_key_usage WHERE key_id = $1', [id]);
  await audit(at, record, { action: 'key.revoke', createdBy: record.createdBy });
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

type Insertion = {
  readonly key: string;
  readonly format: number;
  readonly name: string;
  readonly projectId: string;
  readonly scope: Scope;
  readonly expiresAtMs: number | undefined;
  readonly rotatedFrom?: string;
};

/** Under the version that was drawn last. */
async function insert(at: Change, row: Insertion): Promise<KeyRecord> {
  const hash = hashKey(row.key);
  const [known] = await at.session.query<{ revoked_at_ms: number | null }>(
    'SELECT revoked_at_ms FROM api_keys WHERE hash = $1',
    [hash],
  );
  if (known !== undefined) throw keyTaken(known.revoked_at_ms === null ? 'active' : 'revoked');
  const id = `${idPrefixes.key}${randomBase62(idChars)}`;
  await at.session.query(
    'INSERT INTO api_keys (id, project_id, name, hash, fmt, last4, scope, expires_at_ms, ' +
      'rotated_from, created_by, created_at_ms, version) ' +
      'VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)',
    [
      id,
      row.projectId,
      row.name,
      hash,
      row.format,
      lastFour(row.key),
      scopeWord(row.scope),
      row.expiresAtMs ?? null,
      row.rotatedFrom ?? null,
      at.by,
      at.atMs,
      at.made.version,
    ],
  );
  // Somebody may have sent it before it was known here, which no gateway is to remember.
  if (row.format === keyFormats.imported) at.made.staleKeys.add(hash);
  await insertScope(at, { id, projectId: row.projectId }, row.scope);
  return keyRecord(at.session, id, at.atMs);
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

function scopeWord(scope: Scope): KeyRecord['scope'] {
  return scope === 'all' ? 'all' : 'agents';
}

async function audit(
  at: Change,
  key: KeyRecord,
  what: { readonly action: AuditAction; readonly [detail: string]: unknown },
): Promise<void> {
  const { action, ...more } = what;
  await recordChange(at, {
    action,
    projectId: key.projectId,
    subjectId: key.id,
    details: { ...auditedKey(key), ...more },
  });
}
