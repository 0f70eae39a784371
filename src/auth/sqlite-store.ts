/** The registry in one SQLite file: for one machine, shared by the gateway and the commands. */
import type { Clock } from '../core/clock.ts';
import { createAudit } from './sqlite-audit.ts';
import { openSqliteFile } from './sqlite-file.ts';
import { createKeys } from './sqlite-keys.ts';
import { createLookup } from './sqlite-lookup.ts';
import { createAgents, createProjects } from './sqlite-projects.ts';
import type { Store } from './store.ts';

export type SqliteStoreOptions = {
  /** Created with its folders if it is not there. */
  readonly path: string;
  readonly clock: Clock;
  /** Keys remembered between requests; 100,000 by default. */
  readonly cachedKeysMax?: number;
};

const usageSql = `
INSERT INTO api_key_usage (key_id, last_used_at_ms)
SELECT id, ?1 FROM api_keys WHERE id = ?2 AND revoked_at_ms IS NULL
ON CONFLICT (key_id) DO UPDATE SET last_used_at_ms = excluded.last_used_at_ms
WHERE last_used_at_ms < excluded.last_used_at_ms OR last_used_at_ms > ?3`;

/** Throws `GatewayError` (`store_unavailable`) with the path and the remedy. */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const { path, clock, cachedKeysMax = 100_000 } = options;
  const file = openSqliteFile(path, clock);
  return {
    projects: createProjects(file, clock),
    agents: createAgents(file, clock),
    keys: createKeys(file, clock),
    audit: createAudit(file),
    lookup: createLookup(file, cachedKeysMax),
    recordUsage(lastUsedAtMs) {
      // The clock may have been ahead: no time is kept, or stays, that lies after now.
      const nowMs = clock.wallMs();
      const minute = nowMs - (nowMs % 60_000);
      return file.write((connection) => {
        for (const [keyId, usedAtMs] of lastUsedAtMs) {
          connection.run(usageSql, Math.min(usedAtMs, minute), keyId, nowMs);
        }
      });
    },
    close: async () => file.close(),
  };
}
