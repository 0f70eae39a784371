/** Reading keys as people see them, from SQLite. */
import { type KeyRow, keyRecordOf } from './registry-records.ts';
import { noKey } from './registry-refusals.ts';
import { checkPage, type KeyQuery, pageOf } from './registry-rules.ts';
import type { Connection } from './sqlite-connection.ts';
import type { KeyRecord, Page } from './store.ts';

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
  if (row === undefined) throw noKey(id);
  return keyRecordOf(row, nowMs);
}

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
    item: (row) => keyRecordOf(row, nowMs),
    position: (row) => row.seq,
  });
}
