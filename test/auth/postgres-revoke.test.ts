import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { hashKey } from '../../src/auth/key-format.ts';
import type { PostgresStore } from '../../src/auth/postgres-store.ts';
import type { Announcement } from '../../src/auth/shared-cache.ts';
import { changer } from './changer.ts';
import { createManualClock } from './manual-clock.ts';
import { usePostgres, withKey } from './postgres-under-test.ts';

const by = 'test:ada';
const postgres = usePostgres();

/** A store that tells of each announcement; time stands still. */
async function openHeard() {
  const url = await postgres.freshDatabase();
  const clock = createManualClock();
  const heard: Announcement[] = [];
  let listen: (announcement: Announcement) => void = () => undefined;
  const announcer = {
    async announce(announcement: Announcement) {
      heard.push(announcement);
      listen(announcement);
    },
  };
  const store = await postgres.open(url, { clock, announcer });
  const next = () => new Promise<Announcement>((resolve) => (listen = resolve));
  return { url, clock, store, heard, next };
}

/** Whether a promise is settled once all that is ready has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('a change that takes something away', () => {
  test('returns when the longest lease of a gateway has passed since the commit', async () => {
    const { clock, store, next } = await openHeard();
    const { record } = await withKey(store);
    for (const leaseMs of [1_000, 250, 4_000, 1_500]) await store.source.holdLease(leaseMs);
    const announced = next();
    const revoking = store.keys.revoke(record.id, { by });
    await announced;
    clock.advance(3_999);
    expect(await isSettled(revoking)).toBe(false);
    clock.advance(1);
    expect(await revoking).toEqual({ effective: true, effectiveAfterMs: 4_000 });
  });

  test('is not called done by a second revoke before it holds everywhere', async () => {
    const { clock, store } = await openHeard();
    const { record } = await withKey(store);
    await store.source.holdLease(1_000);
    const { after } = clock;
    let waits = 0;
    const bothWait = new Promise<void>((resolve) => {
      clock.after = (delayMs, run) => {
        if (delayMs === 1_000) waits += 1;
        if (waits === 2) resolve();
        return after(delayMs, run);
      };
    });
    const first = store.keys.revoke(record.id, { by });
    const second = store.keys.revoke(record.id, { by });
    const ended = Promise.allSettled([first, second]);
    await Promise.race([bothWait, first, second]);
    expect(await isSettled(Promise.race([first, second]))).toBe(false);
    clock.advance(1_000);
    const outcomes = (await ended).map(({ status }) => status);
    expect(outcomes.sort()).toEqual(['fulfilled', 'rejected']);
    await expect(Promise.all([first, second])).rejects.toMatchObject({ code: 'not_found' });
  });

  test('waits for nobody where no gateway answers from memory', async () => {
    const { store } = await openHeard();
    const { record } = await withKey(store);
    expect(await store.keys.revoke(record.id, { by })).toEqual({
      effective: true,
      effectiveAfterMs: 0,
    });
  });

  test('does not wait for a gateway that has not been heard of for 75 minutes', async () => {
    const { url, store } = await openHeard();
    const { record } = await withKey(store);
    await store.source.holdLease(1_000);
    await store.source.holdLease(500);
    const age = 'UPDATE gateway_leases SET seen_at = now() - $1::interval WHERE lease_ms = 1000';
    await postgres.sql(url, age, ['75 min']);
    await postgres.sql(url, 'DELETE FROM gateway_leases WHERE lease_ms = 500');
    expect(await store.keys.revoke(record.id, { by })).toMatchObject({ effectiveAfterMs: 0 });
  });

  test('still waits for one that was heard of 74 minutes ago', async () => {
    const { url, clock, store, next } = await openHeard();
    const { record } = await withKey(store);
    await store.source.holdLease(1_000);
    await postgres.sql(url, "UPDATE gateway_leases SET seen_at = now() - interval '74 min'");
    const announced = next();
    const revoking = store.keys.revoke(record.id, { by });
    await announced;
    expect(await isSettled(revoking)).toBe(false);
    clock.advance(1_000);
    expect(await revoking).toMatchObject({ effectiveAfterMs: 1_000 });
  });

  test('knows of a lease that was said while it waited for its turn', async () => {
    const { url, clock, store, next } = await openHeard();
    const { record } = await withKey(store);
    const blocker = await postgres.connect(url);
    await blocker.query('BEGIN');
    await blocker.query('SELECT 1 FROM api_keys WHERE id = $1 FOR UPDATE', [record.id]);
    const first = store.keys.rename(record.id, { name: 'first', by });
    await waiting(url, 1);
    const held = store.source.holdLease(1_000);
    await waiting(url, 2);
    const revoking = store.keys.revoke(record.id, { by });
    await waiting(url, 3);
    let announced = next();
    await blocker.query('COMMIT');
    await announced;
    announced = next();
    await first;
    await held;
    await announced;
    expect(await isSettled(revoking)).toBe(false);
    clock.advance(1_000);
    expect(await revoking).toMatchObject({ effectiveAfterMs: 1_000 });
  });
});

type Step = (store: PostgresStore, ids: { projectId: string; keyId: string }) => Promise<unknown>;
const agentId = randomUUID();
const waits: [string, Step][] = [
  ['agents.add', (it, { projectId }) => it.agents.add({ projectId, id: agentId, name: 'A', by })],
  ['setScope', (it, { keyId }) => it.keys.setScope(keyId, { agents: [agentId], by })],
  ['agents.remove', (it, { projectId }) => it.agents.remove({ projectId, id: agentId, by })],
  [
    'importKey',
    (it, { projectId }) =>
      it.keys.importKey({ projectId, name: 'i', key: 'mibo_0123456789abcdef', by }),
  ],
  ['rotate', (it, { keyId }) => it.keys.rotate(keyId, { graceMs: 0, by })],
  ['revoke', (it, { keyId }) => it.keys.revoke(keyId, { by })],
];

test('each change that a gateway could answer against waits; others do not', async () => {
  const { clock, store, heard, next } = await openHeard();
  const { project, record } = await withKey(store);
  await store.source.holdLease(1_000);
  // None of these moves the time.
  await store.projects.add({ name: 'other', by });
  await store.keys.create({ projectId: project.id, name: 'c', by });
  expect(heard).toEqual([]);
  await store.keys.rename(record.id, { name: 'n', by });
  expect(heard).toHaveLength(1);
  for (const [name, step] of waits) {
    const announced = next();
    const changing = step(store, { projectId: project.id, keyId: record.id });
    await announced;
    expect([name, await isSettled(changing)]).toEqual([name, false]);
    clock.advance(1_000);
    await changing;
  }
});

describe('an announcement', () => {
  test('comes once the change is committed, with its version and all that it touched', async () => {
    const { store, heard } = await openHeard();
    const { project, key, record } = await withKey(store);
    const ids = { projectId: project.id, keyId: record.id };
    const [addAgent, setScope, removeAgent] = waits.map(([, step]) => step);
    await addAgent?.(store, ids);
    await setScope?.(store, ids);
    await removeAgent?.(store, ids);
    await store.keys.revoke(record.id, { by });
    const versions = (await store.audit.list()).items.map(({ version }) => version).reverse();
    const [hash, projectId] = [hashKey(key), project.id];
    expect(heard).toEqual([
      { version: versions[2], keys: [], projects: [projectId] },
      { version: versions[3], keys: [hash], projects: [] },
      { version: versions[4], keys: [hash], projects: [projectId] },
      { version: versions[5], keys: [hash], projects: [] },
    ]);
  });

  test('is not made of a change that was refused', async () => {
    const { store, heard } = await openHeard();
    const { record } = await withKey(store);
    const scoping = store.keys.setScope(record.id, { agents: [randomUUID()], by });
    await expect(scoping).rejects.toMatchObject({ code: 'invalid' });
    expect(heard).toEqual([]);
  });

  test('that waits finds the change in the store already', async () => {
    const url = await postgres.freshDatabase();
    const reader = await postgres.open(url);
    const { key, record } = await withKey(reader);
    const found: unknown[] = [];
    const store = await postgres.open(url, {
      announcer: {
        async announce() {
          found.push(await reader.lookup(hashKey(key)));
        },
      },
    });
    await store.keys.revoke(record.id, { by });
    expect(found).toEqual([undefined]);
  });
});

describe('another process', () => {
  test('that revokes a key is heeded by the very next lookup', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { key, record } = await withKey(store);
    expect(await store.lookup(hashKey(key))).toBeDefined();
    expect(await changer(url, 'revoke', record.id).done()).toMatchObject({ code: 0 });
    expect(await store.lookup(hashKey(key))).toBeUndefined();
  });

  test('that was killed once its revocation was acknowledged has revoked the key', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { key, record } = await withKey(store);
    const { child, firstLine } = changer(url, 'revoke-and-hang', record.id);
    expect(await firstLine()).toContain('"effective":true');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await store.lookup(hashKey(key))).toBeUndefined();
    // The server too may crash right then.
    await postgres.server.stop();
    await postgres.server.start();
    expect(await store.lookup(hashKey(key))).toBeUndefined();
    await expect(store.keys.get(record.id)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a commit', () => {
  test('is durable and sees what was there before, whatever the database is set to', async () => {
    const url = await postgres.freshDatabase();
    const name = new URL(url).pathname.slice(1);
    for (const setting of [
      'synchronous_commit = off',
      "default_transaction_isolation = 'serializable'",
      'default_transaction_read_only = on',
    ]) {
      await postgres.sql(postgres.server.url, `ALTER DATABASE ${name} SET ${setting}`);
    }
    const store = await postgres.open(url);
    const admin = await postgres.connect(url);
    await admin.query(`
      BEGIN READ WRITE;
      CREATE TABLE noted (durable text, isolation text, lock_wait text, idle text);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted VALUES
          (current_setting('synchronous_commit'), current_setting('transaction_isolation'),
           current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'));
        RETURN NEW;
      END $$;
      CREATE TRIGGER note BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION note();
      COMMIT`);
    await withKey(store);
    // What hangs elsewhere holds the lock of the registry for seconds, not for ever.
    const bounds = { lock_wait: '4s', idle: '5s' };
    const noted = { durable: 'on', isolation: 'read committed', ...bounds };
    expect((await admin.query('SELECT * FROM noted')).rows).toEqual([noted, noted]);
  });

  test('whose answer was lost is neither reported as done nor as undone', async () => {
    const url = await postgres.freshDatabase();
    const store = await postgres.open(url);
    const { key, record } = await withKey(store);
    // At the commit itself, the server ends the session.
    await postgres.sql(
      url,
      `CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_terminate_backend(pg_backend_pid());
        RETURN NULL;
      END $$`,
    );
    await postgres.sql(
      url,
      'CREATE CONSTRAINT TRIGGER vanish AFTER INSERT ON audit_log ' +
        'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION vanish()',
    );
    await expect(store.keys.revoke(record.id, { by })).rejects.toMatchObject({
      kind: 'store_unavailable',
      hint: expect.stringMatching(/^look whether the change was made before you repeat it/),
    });
    await postgres.sql(url, 'DROP TRIGGER vanish ON audit_log');
    expect(await store.lookup(hashKey(key))).toBeDefined();
    expect(await store.keys.revoke(record.id, { by })).toMatchObject({ effective: true });
  });
});

/** Until so many sessions wait for a lock. */
async function waiting(url: string, count: number): Promise<void> {
  const sql =
    'SELECT count(DISTINCT pid)::int AS count FROM pg_locks WHERE NOT granted AND pid IN ' +
    '(SELECT pid FROM pg_stat_activity WHERE datname = current_database())';
  for (;;) {
    const [row] = await postgres.sql<{ count: number }>(url, sql);
    if ((row?.count ?? 0) >= count) return;
  }
}
