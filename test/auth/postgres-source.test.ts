import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { hashKey } from '../../src/auth/key-format.ts';
import type { PostgresStore } from '../../src/auth/postgres-store.ts';
import { usePostgres, withKey } from './postgres-under-test.ts';

const by = 'test:ada';
const postgres = usePostgres();

async function newestVersion(store: PostgresStore): Promise<number> {
  return (await store.audit.list({ limit: 1 })).items[0]?.version ?? 0;
}

describe('a read of the source', () => {
  test('tells a key with its scope, and the version of the registry at that moment', async () => {
    const store = await postgres.open(await postgres.freshDatabase());
    const { project, key, record } = await withKey(store);
    const id = randomUUID();
    await store.agents.add({ projectId: project.id, id, name: 'Bot', by });
    const stored = {
      keyId: record.id,
      keyName: 'k',
      projectId: project.id,
      scope: 'all',
      agents: [],
      expiresAtMs: undefined,
    };
    expect(await store.source.readKey(hashKey(key))).toMatchObject({
      version: await newestVersion(store),
      value: stored,
    });
    await store.keys.setScope(record.id, { agents: [id], by });
    expect(await store.source.readKey(hashKey(key))).toMatchObject({
      version: await newestVersion(store),
      value: { ...stored, scope: 'agents', agents: [id] },
    });
    await store.keys.revoke(record.id, { by });
    const gone = await store.source.readKey(hashKey(key));
    expect(gone).toMatchObject({ version: await newestVersion(store), value: undefined });
  });

  test('tells the agents of a project; of none there is for one that does not exist', async () => {
    const store = await postgres.open(await postgres.freshDatabase());
    const { project } = await withKey(store);
    const [a, b] = [randomUUID(), randomUUID()];
    await store.agents.add({ projectId: project.id, id: a, name: 'A', by });
    await store.agents.add({ projectId: project.id, id: b, name: 'B', by });
    const { version, value } = await store.source.readAgents(project.id);
    expect([version, ...value]).toEqual([await newestVersion(store), [a, 'A'], [b, 'B']]);
    expect((await store.source.readAgents('prj_none')).value.size).toBe(0);
  });

  test('finds the newest version older than an age, by the clock of the server', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { record } = await withKey(store);
    await store.keys.rename(record.id, { name: 'n', by });
    expect(await store.source.versionBefore(60_000)).toBe(0);
    const age = "UPDATE audit_log SET committed_at = now() - interval '2 min' WHERE version = $1";
    const [, second = 0, first = 0] = (await store.audit.list()).items.map((it) => it.version);
    await postgres.sql(url, age, [first]);
    expect(await store.source.versionBefore(60_000)).toBe(first);
    await postgres.sql(url, age, [second]);
    expect(await store.source.versionBefore(60_000)).toBe(second);
    expect(await store.source.versionBefore(180_000)).toBe(0);
  });
});

describe('the feed', () => {
  test('tells each key and project that changed since a version, and nothing else', async () => {
    const store = await postgres.open(await postgres.freshDatabase());
    const { project, key, record } = await withKey(store);
    const id = randomUUID();
    let cursor = 0;

    async function changes() {
      const { version, keys, projects, tooMany } = await store.source.changesSince(
        cursor,
        100,
        1_000,
      );
      expect([version, tooMany]).toEqual([await newestVersion(store), false]);
      for (const changedAt of [...keys.values(), ...projects.values()]) {
        expect(changedAt).toBeGreaterThan(cursor);
        expect(changedAt).toBeLessThanOrEqual(version);
      }
      cursor = version;
      return { keys: [...keys.keys()], projects: [...projects.keys()] };
    }

    const hash = hashKey(key);
    expect(await changes()).toEqual({ keys: [hash], projects: [project.id] });
    expect(await changes()).toEqual({ keys: [], projects: [] });
    await store.recordUsage(new Map([[record.id, 60_000]]));
    expect(await changes()).toEqual({ keys: [], projects: [] });
    await store.agents.add({ projectId: project.id, id, name: 'Bot', by });
    expect(await changes()).toEqual({ keys: [], projects: [project.id] });
    await store.keys.setScope(record.id, { agents: [id], by });
    expect(await changes()).toEqual({ keys: [hash], projects: [] });
    await store.keys.rename(record.id, { name: 'n', by });
    expect(await changes()).toEqual({ keys: [hash], projects: [] });
    await store.agents.remove({ projectId: project.id, id, by });
    expect(await changes()).toEqual({ keys: [hash], projects: [project.id] });
    const next = await store.keys.rotate(record.id, { graceMs: 0, by });
    const rotated = await changes();
    expect(new Set(rotated.keys)).toEqual(new Set([hash, hashKey(next.key)]));
    await store.keys.revoke(record.id, { by });
    expect(await changes()).toEqual({ keys: [hash], projects: [] });
  });

  test('says that there was too much to tell', async () => {
    const store = await postgres.open(await postgres.freshDatabase());
    const { project } = await withKey(store);
    await store.keys.create({ projectId: project.id, name: 'k2', by });
    const exact = await store.source.changesSince(0, 3, 1_000);
    expect([exact.tooMany, exact.keys.size, exact.projects.size]).toEqual([false, 2, 1]);
    const changes = await store.source.changesSince(0, 2, 1_000);
    expect([changes.tooMany, changes.keys.size, changes.projects.size]).toEqual([true, 0, 0]);
    expect(changes.version).toBe(await newestVersion(store));
  });
});

describe('versions', () => {
  test('that are drawn without the lock of the registry let a poller miss a change', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { project } = await withKey(store);
    const since = await newestVersion(store);
    const insert = (client: Client, id: string, version: number) =>
      client.query(
        'INSERT INTO projects (id, name, created_at_ms, version) VALUES ($1, $1, 0, $2)',
        [id, version],
      );
    const [slow, fast] = [await postgres.connect(url), await postgres.connect(url)];
    await slow.query('BEGIN');
    await insert(slow, 'prj_slow', since + 1);
    await insert(fast, 'prj_fast', since + 2);
    const seen = await store.source.changesSince(since, 100, 1_000);
    expect([...seen.projects.keys()]).toEqual(['prj_fast']);
    await slow.query('COMMIT');
    const cursor = Math.max(...seen.projects.values());
    expect([...(await store.source.changesSince(cursor, 100, 1_000)).projects.keys()]).toEqual([]);
    expect((await store.projects.find(project.id)).id).toBe(project.id);
  });

  test('of a store rise in commit order, also while a change is held up', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const other = await postgres.open(`${url}?options=-c%20search_path%3Dpublic`);
    const { project, key, record } = await withKey(store);
    const { key: key2, record: record2 } = await store.keys.create({
      projectId: project.id,
      name: 'k2',
      by,
    });
    let cursor = await newestVersion(store);
    const seen = new Set<string>();
    const poll = async () => {
      const { version, keys } = await store.source.changesSince(cursor, 100, 1_000);
      cursor = version;
      for (const hash of keys.keys()) seen.add(hash);
    };

    const blocker = await postgres.connect(url);
    await blocker.query('BEGIN');
    await blocker.query('SELECT 1 FROM api_keys WHERE id = $1 FOR UPDATE', [record.id]);
    const slow = store.keys.rename(record.id, { name: 'slow', by });
    // It has drawn its version, and waits for the row.
    await waiting(url, 1);
    const fast = other.keys.rename(record2.id, { name: 'fast', by });
    let fastIsDone = false;
    fast.finally(() => {
      fastIsDone = true;
    });
    while (!fastIsDone && (await waiters(url)) < 2) await poll();
    await poll();
    await blocker.query('COMMIT');
    await Promise.all([slow, fast]);
    await poll();
    expect(seen).toEqual(new Set([hashKey(key), hashKey(key2)]));
  });

  test('let a poller see each of many changes at once', async () => {
    const url = await postgres.freshDatabase();
    const stores = await Promise.all([1, 2, 3].map(() => postgres.open(url)));
    const [store] = stores as [PostgresStore];
    const { project } = await withKey(store);
    let cursor = await newestVersion(store);
    const seen = new Set<string>();
    let isDone = false;
    const polling = (async () => {
      for (;;) {
        const last = isDone;
        const { version, keys } = await store.source.changesSince(cursor, 1_000, 1_000);
        expect(version).toBeGreaterThanOrEqual(cursor);
        cursor = version;
        for (const hash of keys.keys()) seen.add(hash);
        if (last) return;
      }
    })();
    const makers = stores.map(async (maker) => {
      const made = Array.from({ length: 40 }, (_, index) =>
        maker.keys.create({ projectId: project.id, name: `k${index}`, by }),
      );
      return Promise.all(made);
    });
    const made = (await Promise.all(makers)).flat();
    isDone = true;
    await polling;
    expect(seen).toEqual(new Set(made.map(({ key }) => hashKey(key))));
  });

  test('are never given twice, not even after the last changes were lost', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { record } = await withKey(store);
    await store.keys.rename(record.id, { name: 'lost', by });
    const lost = await newestVersion(store);
    await postgres.sql(url, 'DELETE FROM audit_log WHERE version = $1', [lost]);
    const gone = await store.source.changesSince(lost, 100, 1_000);
    expect(gone).toMatchObject({ knowsStart: false });
    await store.keys.rename(record.id, { name: 'n', by });
    expect(await newestVersion(store)).toBeGreaterThan(lost);
    expect(await store.source.changesSince(lost, 100, 1_000)).toMatchObject({ knowsStart: false });
  });

  test('go on above the log where the clock of the server was set back', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { record } = await withKey(store);
    const ahead = (await newestVersion(store)) + 3_600_000_000;
    await postgres.sql(
      url,
      'UPDATE audit_log SET version = $1 WHERE version = ' + '(SELECT max(version) FROM audit_log)',
      [ahead],
    );
    await store.keys.rename(record.id, { name: 'n', by });
    expect(await newestVersion(store)).toBe(ahead + 1);
  });

  test('are all told, and whether the store knows the lease of who asks', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { record } = await withKey(store);
    const since = await newestVersion(store);
    const versions: number[] = [];
    for (const name of ['a', 'b', 'c']) {
      await store.keys.rename(record.id, { name, by });
      versions.push(await newestVersion(store));
    }
    const told = await store.source.changesSince(since, 100, 1_000);
    expect(told).toMatchObject({ versions, knowsStart: true, knowsLease: false });
    await store.source.holdLease(1_000);
    expect(await store.source.changesSince(since, 2, 1_000)).toMatchObject({
      ...{ tooMany: true, versions: [], knowsLease: true },
    });
    expect(await store.source.changesSince(0, 100, 1_000)).toMatchObject({ knowsStart: true });
    // No change waits for one that was noted so long ago.
    await postgres.sql(url, "UPDATE gateway_leases SET seen_at = now() - interval '76 minutes'");
    expect(await store.source.changesSince(0, 100, 1_000)).toMatchObject({ knowsLease: false });
  });
});

/** Sessions that wait for a lock of another. */
async function waiters(url: string): Promise<number> {
  const sql =
    'SELECT count(DISTINCT pid)::int AS count FROM pg_locks WHERE NOT granted AND pid IN ' +
    '(SELECT pid FROM pg_stat_activity WHERE datname = current_database())';
  const [row] = await postgres.sql<{ count: number }>(url, sql);
  return row?.count ?? 0;
}

async function waiting(url: string, count: number): Promise<void> {
  while ((await waiters(url)) < count);
}
