/** Very many keys, put into PostgreSQL by SQL: making them one by one would take hours. */
import { Client } from 'pg';

/** Key number `index`; the statement below makes the same text. */
export function benchKey(index: number): string {
  return `mibo_bench${String(index).padStart(28, '0')}`;
}

/** Keys `from` to `to`, both included, of all agents of a project. */
export async function insertKeys(
  databaseUrl: string,
  keys: { readonly projectId: string; readonly from: number; readonly to: number },
): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    `INSERT INTO api_keys
       (id, project_id, name, hash, fmt, last4, scope, created_by, created_at_ms, version)
     SELECT 'key_' || number, $1, 'bench', encode(sha256(convert_to(key, 'UTF8')), 'hex'), 0,
       right(key, 4), 'all', 'bench', 0, (SELECT max(version) FROM audit_log)
     FROM (
       SELECT lpad(n::text, 16, '0') AS number, 'mibo_bench' || lpad(n::text, 28, '0') AS key
       FROM generate_series($2::int, $3::int) n
     ) made`,
    [keys.projectId, keys.from, keys.to],
  );
  await client.query('ANALYZE api_keys');
  await client.end();
}
