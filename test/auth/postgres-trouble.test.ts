import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { hashKey } from '../../src/auth/key-format.ts';
import type { PostgresStore } from '../../src/auth/postgres-store.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { createManualClock } from './manual-clock.ts';
import { usePostgres, withKey } from './postgres-under-test.ts';

const by = 'test:ada';
const trouble = { kind: 'store_unavailable' };
const postgres = usePostgres();

afterEach(() => postgres.server.resume());

async function openWithKey(clock: Clock = createManualClock()) {
  const url = await postgres.freshDatabase();
  const store = await postgres.open(url, { clock });
  const { key, record, project } = await withKey(store);
  return { url, store, hash: hashKey(key), record, project };
}

/** Everything that is asked on behalf of requests. */
const reads: Record<string, (store: PostgresStore, hash: string) => Promise<unknown>> = {
  lookup: async (store, hash) => store.lookup(hash),
  readKey: (store, hash) => store.source.readKey(hash),
  readAgents: (store) => store.source.readAgents('prj_any'),
  versionBefore: (store) => store.source.versionBefore(3_600_000),
  changesSince: (store) => store.source.changesSince(0, 10, 1_000),
};

describe('a server that hangs', () => {
  test.each(Object.entries(reads))(
    'is given up by %s at its deadline, then found again',
    async (name, read) => {
      const clock = createManualClock();
      const { store, hash } = await openWithKey(clock);
      const before = await read(store, hash);
      await postgres.server.pause();
      const reading = read(store, hash);
      let outcome = 'pending';
      reading.then(
        () => (outcome = 'answered'),
        () => (outcome = 'refused'),
      );
      const deadlineMs = name === 'changesSince' ? 1_000 : 500;
      clock.advance(deadlineMs - 1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(outcome).toBe('pending');
      clock.advance(1);
      await expect(reading).rejects.toMatchObject(trouble);
      await postgres.server.resume();
      expect(await read(store, hash)).toEqual(before);
    },
  );

  test('does not poison the connections, however many requests asked it', async () => {
    let isPatient = false;
    const clock: Clock = {
      ...systemClock,
      wallMs: () => (isPatient ? 0 : Date.now()),
      monotonicMs: () => (isPatient ? 0 : performance.now()),
      after: (delayMs, run) => (isPatient ? () => undefined : systemClock.after(delayMs, run)),
    };
    const { store, hash, record } = await openWithKey(clock);
    await postgres.server.pause();
    const asked = Array.from({ length: 40 }, async () => store.lookup(hash));
    for (const outcome of await Promise.allSettled(asked)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: trouble });
    }
    await postgres.server.resume();
    isPatient = true;
    for (let again = 0; again < 40; again += 1) {
      expect((await store.lookup(hash))?.tenant.keyId).toBe(record.id);
    }
  });

  test('lets a store be closed', async () => {
    const { store, hash } = await openWithKey();
    await store.lookup(hash);
    await postgres.server.pause();
    await store.close();
  });

  test('makes changes fail within seconds, and neither holds up the next one', async () => {
    const clock = createManualClock();
    const { store, record } = await openWithKey(clock);
    await postgres.server.pause();
    const changing = store.keys.rename(record.id, { name: 'never', by });
    clock.advance(8_000);
    await expect(changing).rejects.toMatchObject(trouble);
    await postgres.server.resume();
    expect((await store.keys.rename(record.id, { name: 'later', by })).name).toBe('later');
  });
});

describe('an answer that comes late by a clock', () => {
  test('is thrown away, though no timer has run: the machine was suspended', async () => {
    let suspendedMs = 0;
    const clock = { ...systemClock, wallMs: () => Date.now() + suspendedMs };
    const { store, hash } = await openWithKey(clock);
    const reading = Promise.all([
      expect(reads.lookup?.(store, hash)).rejects.toMatchObject(trouble),
      expect(reads.readKey?.(store, hash)).rejects.toMatchObject(trouble),
      expect(reads.changesSince?.(store, hash)).rejects.toMatchObject(trouble),
    ]);
    suspendedMs = 3_600_000;
    await reading;
    expect(await store.lookup(hash)).toBeDefined();
  });

  test('is thrown away, though no timer has run: the event loop was blocked', async () => {
    let blockedMs = 0;
    const monotonicMs = () => performance.now() + blockedMs;
    const { store, hash } = await openWithKey({ ...systemClock, monotonicMs });
    const reading = expect(reads.lookup?.(store, hash)).rejects.toMatchObject(trouble);
    blockedMs = 501;
    await reading;
    expect(await store.lookup(hash)).toBeDefined();
  });
});

describe('a server that restarts', () => {
  test('is down for every read meanwhile, and found again by itself', async () => {
    const { store, hash, record } = await openWithKey();
    const before = await Promise.all(Object.values(reads).map((read) => read(store, hash)));
    await postgres.server.stop();
    for (const read of Object.values(reads)) {
      await expect(read(store, hash)).rejects.toMatchObject(trouble);
    }
    await expect(store.keys.get(record.id)).rejects.toMatchObject(trouble);
    await postgres.server.start();
    const after = await Promise.all(Object.values(reads).map((read) => read(store, hash)));
    expect(after).toEqual(before);
    expect((await store.keys.rename(record.id, { name: 'n', by })).name).toBe('n');
  });
});

describe('a replica', () => {
  test('is refused by every read and every change, and cannot be opened', async () => {
    const { url, store, hash, record } = await openWithKey();
    const signal = join(postgres.server.dataFolder, 'standby.signal');
    await postgres.server.stop();
    writeFileSync(signal, '');
    await postgres.server.start();
    try {
      for (const read of Object.values(reads)) {
        await expect(read(store, hash)).rejects.toMatchObject(trouble);
      }
      await expect(store.keys.revoke(record.id, { by })).rejects.toMatchObject(trouble);
      await expect(postgres.open(url)).rejects.toMatchObject({
        ...trouble,
        hint: expect.stringContaining('it is a replica'),
      });
    } finally {
      await postgres.server.stop();
      rmSync(signal);
      await postgres.server.start();
    }
    expect(await store.lookup(hash)).toBeDefined();
  });
});

describe('tables that a backup is restored to', () => {
  test('are no store without keys, while they are filled', async () => {
    const { url, store, hash } = await openWithKey();
    // In the order of pg_dump: what the keys are read from comes first.
    for (const missing of ['gateway_migrations', 'audit_log', 'api_keys']) {
      await postgres.sql(url, `TRUNCATE ${missing} CASCADE`);
      for (const read of Object.values(reads)) {
        await expect(read(store, hash)).rejects.toMatchObject({
          ...trouble,
          hint: 'send it again shortly: the key store is being restored',
        });
      }
    }
  });
});

describe('a change that never ends in another process', () => {
  test('holds up no read, and the changes that wait for it give up', async () => {
    const clock = createManualClock();
    const { url, store, hash, record } = await openWithKey(clock);
    const stuck = await postgres.connect(url);
    await stuck.query('BEGIN');
    const [lock] = await postgres.sql<{ objid: string }>(
      url,
      "SELECT 'audit_log'::regclass::oid::text AS objid",
    );
    // The lock that each change takes; see src/auth/postgres-registry.ts.
    await stuck.query('SELECT pg_advisory_xact_lock((1835623023::bigint << 32) | $1::bigint)', [
      lock?.objid,
    ]);
    const changes = Array.from({ length: 15 }, (_, index) =>
      store.keys.rename(record.id, { name: `n${index}`, by }),
    );
    for (const read of Object.values(reads)) await read(store, hash);
    clock.advance(8_000);
    for (const outcome of await Promise.allSettled(changes)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: trouble });
    }
    await stuck.query('ROLLBACK');
    expect((await store.keys.rename(record.id, { name: 'done', by })).name).toBe('done');
    expect((await store.audit.list()).items.map(({ action }) => action)).toEqual([
      'key.rename',
      'key.create',
      'project.add',
    ]);
  });
});

describe('requests that hang', () => {
  test('do not hold up the feed', async () => {
    const { url, store, hash, record } = await openWithKey();
    const blocker = await postgres.connect(url);
    await blocker.query('BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE');
    const lookups = Array.from({ length: 15 }, async () => store.lookup(hash));
    expect((await store.source.changesSince(0, 10, 1_000)).keys.has(hash)).toBe(true);
    await blocker.query('ROLLBACK');
    for (const grant of await Promise.all(lookups)) expect(grant?.tenant.keyId).toBe(record.id);
  });
});

test('a table that is broken is a fault of the store, never an unknown key', async () => {
  const { url, store, hash } = await openWithKey();
  await postgres.sql(url, 'DROP TABLE api_key_agents');
  await expect(store.lookup(hash)).rejects.toMatchObject(trouble);
  await expect(store.source.readKey(hash)).rejects.toMatchObject(trouble);
});

test('no key, no hash and no password is in a fault', async () => {
  const { url, store, hash, project } = await openWithKey();
  const secret = 'mibo_0123456789abcdefghij';
  await postgres.sql(
    url,
    `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE 'not now';
    END $$`,
  );
  await postgres.sql(
    url,
    'CREATE TRIGGER no BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION no()',
  );
  const fault: unknown = await store.keys
    .importKey({ projectId: project.id, name: 'i', key: secret, by })
    .catch((thrown: unknown) => thrown);
  expect(fault).toMatchObject({ ...trouble, cause: { message: 'not now' } });
  const told = JSON.stringify(fault, Object.getOwnPropertyNames(fault));
  for (const part of [secret.slice(5, -4), hashKey(secret), hash]) expect(told).not.toContain(part);
});
