import { expect, test } from 'vitest';
import type { PostgresPool, SqlValue } from '../../src/auth/postgres-pool.ts';
import { createPostgresLookup, createPostgresSource } from '../../src/auth/postgres-source.ts';
import type { Project } from '../../src/auth/store.ts';
import { usePostgres, withKey } from './postgres-under-test.ts';

const postgres = usePostgres();
const keysMax = 100_000;

/** Takes down what is asked instead of asking it. */
function createRecorder() {
  const asked: { readonly sql: string; readonly values: readonly SqlValue[] }[] = [];
  const pool: PostgresPool = {
    use: (work) =>
      work({
        query: async (sql, values = []) => {
          asked.push({ sql, values });
          return [{ trouble: null, version: 0, value: null }] as never;
        },
      }),
    close: async () => undefined,
  };
  return { asked, pool };
}

let made: Promise<{ readonly url: string; readonly project: Project }> | undefined;

/** Once for all tests. */
function withManyKeys() {
  made ??= makeManyKeys();
  return made;
}

async function makeManyKeys() {
  const url = await postgres.freshDatabase();
  const store = await postgres.open(url);
  const { project } = await withKey(store);
  await postgres.sql(
    url,
    'INSERT INTO api_keys (id, project_id, name, hash, fmt, last4, scope, created_by, ' +
      "created_at_ms, version) SELECT 'key_' || n, $1, 'k', " +
      "encode(sha256(n::text::bytea), 'hex'), 1, 'last', 'agents', 'test', 0, n " +
      'FROM generate_series(1, $2::int) AS n',
    [project.id, keysMax],
  );
  await postgres.sql(
    url,
    'INSERT INTO audit_log (version, committed_at, at_ms, actor, action, project_id, ' +
      "subject_id, details) SELECT n, now(), 0, 'test', 'key.create', $1, 'key_' || n, '{}' " +
      'FROM generate_series(10, $2::int) AS n',
    [project.id, keysMax],
  );
  await postgres.sql(url, 'ANALYZE');
  return { url, project };
}

test('no read for a request or for the feed goes through all of 100,000 keys', async () => {
  const { url, project } = await withManyKeys();
  const { asked, pool } = createRecorder();
  const registry = { holdLease: async () => undefined };
  const source = createPostgresSource({ reads: pool, feed: pool, registry });
  const hash = 'a'.repeat(64);
  await createPostgresLookup(pool)(hash);
  await source.readKey(hash);
  await source.readAgents(project.id);
  await source.changesSince(keysMax - 10, 10_000, 1_000);
  await source.versionBefore(60_000);
  expect(asked).toHaveLength(5);
  const big = /Seq Scan on (api_keys|audit_log)/;
  for (const { sql, values } of asked.slice(0, 4)) {
    const plan = await postgres.sql<{ 'QUERY PLAN': string }>(url, `EXPLAIN ${sql}`, values);
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).not.toMatch(big);
    expect(text).toContain('using audit_log_pkey');
  }
});

test('opening a store looks at no key', async () => {
  const { url } = await withManyKeys();
  const other = await postgres.connect(url);
  await other.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
  await (await postgres.open(url)).close();
  await other.query('ROLLBACK');
});
