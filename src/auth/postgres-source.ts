/**
 * Reading keys from the primary: for the key cache, and for lookups without one.
 *
 * Each answer is one statement, so a value and the registry's version are of one snapshot. A server
 * in recovery is refused: a replica, or an old primary that came back as one, may be behind. So are
 * tables without a note of the migrations that made them: a backup is being restored, and a key
 * that is missing may be yet to come. The note comes after the keys in what `pg_dump` writes.
 */
import { GatewayError } from '../core/errors.ts';
import type { Tenant } from '../core/tenant.ts';
import type { AgentNames, Changes, KeySource, StoredKey, Versioned } from './key-source.ts';
import type { PostgresPool, SqlValue } from './postgres-pool.ts';
import { isLiveSql, type Registry } from './postgres-registry.ts';
import type { Grant } from './store.ts';

export type PostgresSourceOptions = {
  /** For reads on behalf of requests. */
  readonly reads: PostgresPool;
  /** One connection that nothing else uses. */
  readonly feed: PostgresPool;
  readonly registry: Pick<Registry, 'holdLease'>;
};

const newestSql = 'SELECT coalesce(max(version), 0) FROM audit_log';
const troubleSql =
  "CASE WHEN pg_is_in_recovery() THEN 'replica' " +
  "WHEN NOT EXISTS (SELECT FROM gateway_migrations) THEN 'restore' END";

/** One row always: what `sql` yields, an object or null, stands in `value`. */
function snapshotOf(sql: string): string {
  return (
    `SELECT ${troubleSql} AS trouble, (${newestSql}) AS version, ` +
    `(SELECT row_to_json(found) FROM (${sql}) AS found) AS value`
  );
}

type KeyRow = {
  readonly id: string;
  readonly project_id: string;
  readonly name: string;
  readonly scope: 'all' | 'agents';
  readonly expires_at_ms: number | null;
  /** [[id, name], …] */
  readonly agents: readonly (readonly [string, string])[];
};

const keyColumns = 'id, project_id, name, scope, expires_at_ms';
const namesSql = "coalesce(json_agg(json_build_array(id, name) ORDER BY seq), '[]')";
const scopedSql =
  `SELECT ${namesSql} FROM agents ` +
  'WHERE id IN (SELECT agent_id FROM api_key_agents WHERE key_id = api_keys.id)';
const allSql = `SELECT ${namesSql} FROM agents WHERE project_id = api_keys.project_id`;
const foundSql = 'FROM api_keys WHERE hash = $1 AND revoked_at_ms IS NULL';
const keySql = snapshotOf(`SELECT ${keyColumns}, (${scopedSql}) AS agents ${foundSql}`);
const grantSql = snapshotOf(
  `SELECT ${keyColumns}, ` +
    `CASE scope WHEN 'all' THEN (${allSql}) ELSE (${scopedSql}) END AS agents ${foundSql}`,
);
const agentsSql = snapshotOf(`SELECT ${namesSql} AS agents FROM agents WHERE project_id = $1`);
/** From the newest backwards, so it looks only at what is younger. */
const versionBeforeSql = snapshotOf(
  'SELECT version FROM audit_log ' +
    "WHERE committed_at < clock_timestamp() - $1 * interval '1 millisecond' " +
    'ORDER BY version DESC LIMIT 1',
);
const changesSql = snapshotOf(`SELECT
  $1::bigint = 0 OR EXISTS (SELECT FROM audit_log WHERE version = $1) AS knows_start,
  EXISTS (SELECT FROM gateway_leases WHERE lease_ms = $3 AND ${isLiveSql}) AS knows_lease,
  (SELECT coalesce(json_agg(version), '[]') FROM
    (SELECT version FROM audit_log WHERE version > $1 ORDER BY version LIMIT $2) AS v) AS versions,
  (SELECT coalesce(json_agg(json_build_array(hash, version)), '[]') FROM
    (SELECT hash, version FROM api_keys WHERE version > $1 ORDER BY version LIMIT $2) AS k) AS keys,
  (SELECT coalesce(json_agg(json_build_array(id, version)), '[]') FROM
    (SELECT id, version FROM projects WHERE version > $1 ORDER BY version LIMIT $2) AS p)
    AS projects`);

type ChangesRow = {
  readonly knows_start: boolean;
  readonly knows_lease: boolean;
  readonly versions: readonly number[];
  readonly keys: readonly (readonly [string, number])[];
  readonly projects: readonly (readonly [string, number])[];
};

export function createPostgresSource({ reads, feed, registry }: PostgresSourceOptions): KeySource {
  return {
    async readKey(hash) {
      const { version, value } = await snapshot<KeyRow>(reads, keySql, [hash]);
      return { version, value: value === null ? undefined : storedKeyOf(value) };
    },
    async readAgents(projectId): Promise<Versioned<AgentNames>> {
      const { version, value } = await snapshot<KeyRow>(reads, agentsSql, [projectId]);
      return { version, value: new Map(value?.agents) };
    },
    async versionBefore(ageMs) {
      const found = await snapshot<{ version: number }>(reads, versionBeforeSql, [ageMs]);
      return found.value?.version ?? 0;
    },
    async changesSince(after, changesMax, leaseMs) {
      const values = [after, changesMax + 1, Math.ceil(leaseMs)];
      const { version, value } = await snapshot<ChangesRow>(feed, changesSql, values);
      return changesOf(version, value, changesMax);
    },
    holdLease: registry.holdLease,
  };
}

/** `Store.lookup`: key, scope and agents in one snapshot. */
export function createPostgresLookup(
  reads: PostgresPool,
): (hash: string) => Promise<Grant | undefined> {
  return async (hash) => {
    const { value } = await snapshot<KeyRow>(reads, grantSql, [hash]);
    if (value === null) return undefined;
    const tenant: Tenant = {
      projectId: value.project_id,
      keyId: value.id,
      keyName: value.name,
      scope: value.scope === 'all' ? 'project' : 'agents',
      agents: new Map(value.agents),
    };
    return { tenant, expiresAtMs: value.expires_at_ms ?? undefined };
  };
}

const troubles = {
  replica: ['fails over', 'it is in recovery: a replica, which may be behind'],
  restore: ['is being restored', 'gateway_migrations is empty, as while a backup is restored'],
} as const;

type Snapshot<Value> = {
  readonly trouble: keyof typeof troubles | null;
  readonly version: number;
  readonly value: Value | null;
};

async function snapshot<Value>(
  pool: PostgresPool,
  sql: string,
  values: readonly SqlValue[],
): Promise<Snapshot<Value>> {
  const [row] = await pool.use((session) => session.query<Snapshot<Value>>(sql, values));
  if (row?.trouble === null) return row;
  const [happens, cause] = troubles[row?.trouble ?? 'replica'];
  throw new GatewayError('store_unavailable', `send it again shortly: the key store ${happens}`, {
    cause: new Error(cause),
  });
}

function storedKeyOf(row: KeyRow): StoredKey {
  return {
    keyId: row.id,
    keyName: row.name,
    projectId: row.project_id,
    scope: row.scope,
    agents: row.scope === 'all' ? [] : row.agents.map(([id]) => id),
    expiresAtMs: row.expires_at_ms ?? undefined,
  };
}

function changesOf(version: number, row: ChangesRow | null, changesMax: number): Changes {
  const { versions = [], keys = [], projects = [] } = row ?? {};
  const tooMany = Math.max(versions.length, keys.length + projects.length) > changesMax;
  return {
    version,
    knowsStart: row?.knows_start === true,
    knowsLease: row?.knows_lease === true,
    versions: tooMany ? [] : versions,
    keys: new Map(tooMany ? [] : keys),
    projects: new Map(tooMany ? [] : projects),
    tooMany,
  };
}
