/** Reading keys as people see them, from PostgreSQL. */
import type { Session } from './postgres-pool.ts';
import { type KeyRow, keyRecordOf } from './registry-records.ts';
import { noKey } from './registry-refusals.ts';
import { checkPage, type KeyQuery, pageOf } from './registry-rules.ts';
import type { KeyRecord, Page } from './store.ts';

const selectSql = `
SELECT seq, id, project_id, name, last4, scope, expires_at_ms, rotated_from, created_by,
  created_at_ms,
  (SELECT last_used_at_ms FROM api_key_usage WHERE key_id = api_keys.id) AS last_used_at_ms,
  (SELECT coalesce(json_agg(agents.id ORDER BY agents.seq), '[]')::text
   FROM api_key_agents JOIN agents ON agents.id = api_key_agents.agent_id
   WHERE api_key_agents.key_id = api_keys.id) AS agents
FROM api_keys WHERE revoked_at_ms IS NULL`;

/** Throws `not_found`, for a revoked key too. */
export async function keyRecord(session: Session, id: string, nowMs: number): Promise<KeyRecord> {
  const [row] = await session.query<KeyRow>(`${selectSql} AND id = $1`, [id]);
  if (row === undefined) throw noKey(id);
  return keyRecordOf(row, nowMs);
}

export async function keyRecords(
  session: Session,
  query: KeyQuery,
  nowMs: number,
): Promise<Page<KeyRecord>> {
  const { after = 0, limit } = checkPage(query);
  const ending = 'seq > $1 ORDER BY seq LIMIT $2';
  const rows =
    query.projectId === undefined
      ? await session.query<KeyRow>(`${selectSql} AND ${ending}`, [after, limit + 1])
      : await session.query<KeyRow>(`${selectSql} AND project_id = $3 AND ${ending}`, [
          after,
          limit + 1,
          query.projectId,
        ]);
  return pageOf(rows, limit, {
    item: (row) => keyRecordOf(row, nowMs),
    position: (row) => row.seq,
  });
}
