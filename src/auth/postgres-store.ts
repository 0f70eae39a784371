/** The registry in PostgreSQL: for many gateways on many machines. */
import type { KeySource } from './key-source.ts';
import { createAudit } from './postgres-audit.ts';
import { createKeys } from './postgres-keys.ts';
import { type MigratePostgresOptions, migratePostgres } from './postgres-migrate.ts';
import { createPostgresPool, type PostgresPool } from './postgres-pool.ts';
import { createAgents, createProjects } from './postgres-projects.ts';
import { createRegistry } from './postgres-registry.ts';
import { createPostgresLookup, createPostgresSource } from './postgres-source.ts';
import type { SharedCache } from './shared-cache.ts';
import type { Store } from './store.ts';

export type PostgresStoreOptions = MigratePostgresOptions & {
  /** Is told of each change once it is committed. */
  readonly announcer?: Pick<SharedCache, 'announce'>;
};

/** `lookup` asks the primary each time; `source` is for a cache over it. */
export type PostgresStore = Store & { readonly source: KeySource };

/** Neither starves the other: requests read, people change, and the feed polls. */
const reads = { connectionsMax: 10, deadlineMs: 500 };
const changes = { connectionsMax: 3, deadlineMs: 8_000 };
const feed = { connectionsMax: 1, deadlineMs: 1_000 };

/** A gateway's clock may be ahead: no time is kept, or stays, that lies after the server's own. */
const nowMsSql = '(extract(epoch FROM now()) * 1000)::bigint';
const usageSql = `
INSERT INTO api_key_usage (key_id, last_used_at_ms)
SELECT api_keys.id, least(used.at_ms, ${nowMsSql} / 60000 * 60000)
FROM unnest($1::text[], $2::bigint[]) AS used (id, at_ms)
JOIN api_keys ON api_keys.id = used.id AND api_keys.revoked_at_ms IS NULL
ORDER BY api_keys.id
ON CONFLICT (key_id) DO UPDATE SET last_used_at_ms = excluded.last_used_at_ms
WHERE api_key_usage.last_used_at_ms < excluded.last_used_at_ms
  OR api_key_usage.last_used_at_ms > ${nowMsSql}`;

/**
 * Makes the tables that are missing. Rejects with `GatewayError` (`store_unavailable`), whose hint
 * says what to check, never with the password.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  await migratePostgres(options);
  const { url, clock, announcer } = options;
  const pools = {
    reads: createPostgresPool({ url, clock, ...reads }),
    changes: createPostgresPool({ url, clock, ...changes }),
    feed: createPostgresPool({ url, clock, ...feed }),
  };
  const registry = createRegistry({ pool: pools.changes, clock, announcer });
  return {
    projects: createProjects(registry),
    agents: createAgents(registry),
    keys: createKeys(registry, clock),
    audit: createAudit(registry),
    lookup: createPostgresLookup(pools.reads),
    source: createPostgresSource({ reads: pools.reads, feed: pools.feed, registry }),
    recordUsage: (lastUsedAtMs) => recordUsage(pools.changes, lastUsedAtMs),
    async close() {
      await Promise.all(Object.values(pools).map((pool) => pool.close()));
    },
  };
}

/** Sorted by the server, so that gateways that write at once take the rows in the same order. */
async function recordUsage(
  pool: PostgresPool,
  lastUsedAtMs: ReadonlyMap<string, number>,
): Promise<void> {
  const values = [[...lastUsedAtMs.keys()], [...lastUsedAtMs.values()]];
  await pool.use((session) => session.query(usageSql, values));
}
