/** Reading keys as people see them, from SQLite. */
import { maskKey } from './key-format.ts';
import { checkPage, notFound, pageOf, quote } from './registry-rules.ts';
import type { Connection } from './sqlite-connection.ts';
import type { KeyRecord, Page, PageRequest } from './store.ts';

type KeyRow = {
  readonly seq: number;
  readonly id: string;
  readonly project_id: string;
  readonly name: string;
  readonly last4: string;
  readonly scope: 'all' | 'agents';
  readonly expires_at_ms: number | null;
  readonly rotated_from: string | null;
  readonly created_by: string;
  readonly created_at_ms: number;
  readonly last_used_at_ms: number | null;
  /** JSON: [id, …] */
  readonly agents: string;
};

const selectSql = `
SELECT seq, id, project_id, name, last4, scope, expires_at_ms, rotated_from, created_by,
  created_at_ms,
  (SELECT last_used_at_ms FROM api_key_usage WHERE key_id = api_keys.id) AS last_used_at_ms,
  (SELECT json_group_array(agents.id ORDER BY agents.seq)
   FROM api_key_agents JOIN agents ON agents.id = api_key_agents.agent_id
   WHERE api_key_agents.key_id = api_keys.id) AS agents
FROM api_keys WHERE revoked_at_ms IS NULL`;

/** Throws `not_found`, for a revoked key too. */
export function keyRecord(connection: Connection, id: string, nowMs: number): KeyRecord {
  const row = connection.get<KeyRow>(`${selectSql} AND id = ?`, id);
  if (row === undefined) {
    throw notFound(`list the keys for the right id: there is no key ${quote(id)}`);
  }
  return recordOf(row, nowMs);
}

export type KeyQuery = PageRequest & { readonly projectId?: string };

export function keyRecords(
  connection: Connection,
  query: KeyQuery,
  nowMs: number,
): Page<KeyRecord> {
  const { after = 0, limit } = checkPage(query);
  const ending = 'seq > ? ORDER BY seq LIMIT ?';
  const rows =
    query.projectId === undefined
      ? connection.all<KeyRow>(`${selectSql} AND ${ending}`, after, limit + 1)
      : connection.all<KeyRow>(
          `${selectSql} AND project_id = ? AND ${ending}`,
          query.projectId,
          after,
          limit + 1,
        );
  return pageOf(rows, limit, {
    item: (row) => recordOf(row, nowMs),
    position: (row) => row.seq,
  });
}

function recordOf(row: KeyRow, nowMs: number): KeyRecord {
  const expiresAtMs = row.expires_at_ms ?? undefined;
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    maskedKey: maskKey(row.last4),
    scope: row.scope,
    agents: JSON.parse(row.agents) as string[],
    status: expiresAtMs !== undefined && expiresAtMs <= nowMs ? 'expired' : 'active',
    createdAtMs: row.created_at_ms,
    createdBy: row.created_by,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
    expiresAtMs,
    rotatedFrom: row.rotated_from ?? undefined,
  };
}
