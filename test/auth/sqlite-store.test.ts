import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from 'vitest';
import type { Store } from '../../src/auth/auth.ts';
import { hashKey } from '../../src/auth/key-format.ts';
import { connect, makeDurable } from '../../src/auth/sqlite-connection.ts';
import { migrateSqliteFile } from '../../src/auth/sqlite-file.ts';
import { openSqliteStore } from '../../src/auth/sqlite-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { changer, changerScript } from './changer.ts';
import { createManualClock } from './manual-clock.ts';
import { storeContract } from './store-contract.ts';

const by = 'test:ada';
const stores: Store[] = [];
const folders: string[] = [];

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mibo-auth-'));
  folders.push(path);
  return path;
}

function open(path: string, clock = systemClock): Store {
  const store = openSqliteStore({ path, clock });
  stores.push(store);
  return store;
}

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  for (const path of folders.splice(0)) rmSync(path, { recursive: true });
});

storeContract(async () => {
  const clock = createManualClock();
  const path = join(folder(), 'keys.db');
  return {
    store: open(path, clock),
    clock,
    async sql(statement) {
      const database = new DatabaseSync(path);
      database.exec(statement);
      database.close();
    },
  };
});

async function withKey(path: string) {
  const store = open(path);
  const project = await store.projects.add({ name: 'shop', by });
  const { key, record } = await store.keys.create({ projectId: project.id, name: 'k', by });
  return { store, project, key, hash: hashKey(key), record };
}

describe('several processes', () => {
  test('a key that another process revoked is unknown to the very next lookup', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash, record } = await withKey(path);
    expect(store.lookup(hash)).toBeDefined();
    expect(await changer(path, 'revoke', record.id).done()).toMatchObject({ code: 0 });
    expect(store.lookup(hash)).toBeUndefined();
  });

  test('a revocation that was acknowledged survives kill -9', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash, record } = await withKey(path);
    const { child, firstLine } = changer(path, 'revoke-and-hang', record.id);
    expect(await firstLine()).toContain('"effective":true');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(store.lookup(hash)).toBeUndefined();
    await store.close();
    expect(open(path).lookup(hash)).toBeUndefined();
  });

  test('processes that open a new file and write at once all succeed', async () => {
    const path = join(folder(), 'new', 'keys.db');
    const writers = [1, 2, 3, 4].map((n) => changer(path, 'add-projects', `p${n}`, '25').done());
    expect((await Promise.all(writers)).map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const store = open(path);
    expect((await store.projects.list()).items).toHaveLength(100);
    const versions = (await store.audit.list()).items.map(({ version }) => version);
    expect(versions).toEqual(Array.from({ length: 100 }, (_, index) => 100 - index));
  });

  test('a writer waits for the lock of another without holding up lookups', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash } = await withKey(path);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const adding = store.projects.add({ name: 'later', by });
    await new Promise((resolve) => setImmediate(resolve));
    expect(store.lookup(hash)).toBeDefined();
    other.exec('COMMIT');
    other.close();
    expect((await adding).name).toBe('later');
  });
});

describe('the file', () => {
  test('is synced with every commit', () => {
    const connection = connect(join(folder(), 'keys.db'), 0);
    makeDurable(connection);
    // 2 is FULL: https://sqlite.org/pragma.html#pragma_synchronous
    expect(connection.get('PRAGMA synchronous')).toMatchObject({ synchronous: 2 });
    expect(connection.get('PRAGMA journal_mode')).toMatchObject({ journal_mode: 'wal' });
    connection.close();
  });

  test('belongs to its owner alone, with its folder', async () => {
    const path = join(folder(), 'deep', 'er', 'keys.db');
    await withKey(path);
    const modeOf = (name: string) => statSync(name).mode & 0o777;
    expect(modeOf(dirname(path))).toBe(0o700);
    for (const name of readdirSync(dirname(path))) {
      expect([name, modeOf(join(dirname(path), name))]).toEqual([name, 0o600]);
    }
  });

  test('never holds a key in plain text', async () => {
    const path = join(folder(), 'keys.db');
    const { store, key, record, project } = await withKey(path);
    const imported = 'mibo_imported-key-0123456789';
    await store.keys.importKey({ projectId: project.id, name: 'i', key: imported, by });
    const rotated = await store.keys.rotate(record.id, { graceMs: 0, by });
    for (const name of readdirSync(dirname(path))) {
      const bytes = readFileSync(join(dirname(path), name));
      for (const secret of [key, imported, rotated.key]) {
        expect(bytes.includes(secret.slice(5, -4))).toBe(false);
      }
    }
  });

  test('survives a restart with everything in it', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash, record } = await withKey(path);
    await store.close();
    const again = open(path);
    expect((again.lookup(hash) as { tenant: { keyId: string } }).tenant.keyId).toBe(record.id);
  });

  test('that is no database is named, and not touched', () => {
    const path = join(folder(), 'keys.db');
    writeFileSync(path, 'these are not the keys that you are looking for'.repeat(100));
    expect(() => open(path)).toThrow(
      expect.objectContaining({ kind: 'store_unavailable', hint: expect.stringContaining(path) }),
    );
    expect(readFileSync(path, 'utf8')).toMatch(/^these are not/);
  });

  test.each(['CREATE TABLE t (a)', 'CREATE TABLE schema_migrations (version TEXT PRIMARY KEY)'])(
    'of another program is refused, and not a byte of it changes: %s',
    (sql) => {
      const path = join(folder(), 'app.db');
      const database = new DatabaseSync(path);
      database.exec(sql);
      database.close();
      const before = readFileSync(path);
      const refused = expect.objectContaining({
        kind: 'store_unavailable',
        hint: `give the key store a file of its own: ${path} is in use by another program`,
      });
      expect(() => open(path)).toThrow(refused);
      expect(() => migrateSqliteFile(path, systemClock)).toThrow(refused);
      expect(readFileSync(path).equals(before)).toBe(true);
      expect(readdirSync(dirname(path))).toEqual(['app.db']);
    },
  );

  test('whose folders cannot be made is named', () => {
    const blocked = join(folder(), 'file');
    writeFileSync(blocked, '');
    for (const path of [join(blocked, 'keys.db'), join(blocked, 'a', 'b', 'keys.db')]) {
      expect(() => open(path)).toThrow(
        expect.objectContaining({
          kind: 'store_unavailable',
          hint: expect.stringMatching(/^check the file of the key store, .*: ENOTDIR/),
        }),
      );
    }
  });

  test('below a folder in which nothing can be made is refused, not tried for ever', () => {
    // In a process of its own, since no timer ends a call that never comes back.
    const { status, stderr } = spawnSync(process.execPath, [changerScript, '/proc/x/y/keys.db'], {
      timeout: 4_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('check the file of the key store, /proc/x/y/keys.db');
  });

  test('of a newer or different program is refused', async () => {
    const path = join(folder(), 'keys.db');
    await withKey(path);
    await stores[0]?.close();
    const database = new DatabaseSync(path);
    database.exec("INSERT INTO schema_migrations VALUES (999, 'x', 0)");
    expect(() => open(path)).toThrow(/newer version/);
    database.exec('DELETE FROM schema_migrations WHERE number = 999');
    database.exec("UPDATE schema_migrations SET checksum = 'x'");
    database.close();
    expect(() => open(path)).toThrow(/another program/);
  });
});

describe('a store in trouble', () => {
  const trouble = expect.objectContaining({ kind: 'store_unavailable' });

  test('whose tables are broken says so', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash } = await withKey(path);
    const other = new DatabaseSync(path);
    other.exec('DROP TABLE api_key_agents');
    other.exec('DELETE FROM audit_log');
    other.close();
    expect(() => store.lookup(hash)).toThrow(trouble);
  });

  test('whose file was deleted refuses nobody, then goes by its backup', async () => {
    const [path, backup] = [join(folder(), 'keys.db'), join(folder(), 'keys.db')];
    const { store, hash, record } = await withKey(path);
    await store.close();
    cpSync(path, backup);
    const restored = open(backup);
    await restored.keys.revoke(record.id, { by });
    await restored.close();

    const clock = createManualClock();
    const running = open(path, clock);
    expect(running.lookup(hash)).toBeDefined();
    for (const name of readdirSync(dirname(path))) rmSync(join(dirname(path), name));
    clock.advance(500);
    expect(() => running.lookup(hash)).toThrow(trouble);
    await expect(running.keys.get(record.id)).rejects.toEqual(trouble);
    expect(readdirSync(dirname(path))).toEqual([]);

    renameSync(backup, path);
    expect(running.lookup(hash)).toBeUndefined();
  });

  test('whose file is damaged never says that a key is unknown', async () => {
    const path = join(folder(), 'keys.db');
    const { store, hash } = await withKey(path);
    await store.close();
    const damaged = openSync(path, 'r+');
    const size = statSync(path).size;
    // The first page says that it is a database; everything behind it is noise.
    writeSync(damaged, Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
    closeSync(damaged);
    let outcome: unknown = 'no fault';
    try {
      outcome = open(path).lookup(hash);
    } catch (thrown) {
      outcome = thrown;
    }
    expect(outcome).toEqual(trouble);
  });

  test('that cannot write says so and changes nothing', async () => {
    const path = join(folder(), 'keys.db');
    const { store, project, hash } = await withKey(path);
    const other = new DatabaseSync(path);
    other.exec('CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(FAIL, 1); END');
    const adding = store.keys.create({ projectId: project.id, name: 'never', by });
    await expect(adding).rejects.toEqual(trouble);
    expect((await store.keys.list()).items.map(({ name }) => name)).toEqual(['k']);
    expect(store.lookup(hash)).toBeDefined();
    other.close();
  });

  test('that has no room left on its disk says so, when it is opened and when it changes', () => {
    const runWithin = (path: string, blocks: number) =>
      spawnSync(
        'sh',
        // A limit of the size of files, in blocks of 512 bytes, stands in for a disk that is full.
        ['-c', `trap '' XFSZ; ulimit -f ${blocks}; exec "$@"`, 'sh', process.execPath].concat(
          changerScript,
          [path, 'add-projects', 'p', '1000'],
        ),
        { encoding: 'utf8' },
      );
    const path = join(folder(), 'keys.db');
    const opening = runWithin(path, 8);
    expect(opening.status).toBe(1);
    const remedy = 'free some space on the disk of the key store, or check it';
    expect(opening.stderr).toContain(`${remedy}: ${path}: `);
    const changing = runWithin(join(folder(), 'keys.db'), 2_000);
    expect(changing.status).toBe(1);
    expect(changing.stderr).toContain(`GatewayError: ${remedy}`);
  });

  test('gives up on a lock that is never released', async () => {
    const path = join(folder(), 'keys.db');
    const clock = createManualClock();
    const store = open(path, clock);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const adding = store.projects.add({ name: 'never', by });
    clock.advance(5_000);
    await expect(adding).rejects.toEqual(trouble);
    other.close();
  });
});

test('the memory of keys is bounded, and forgetting one costs only a read', async () => {
  const path = join(folder(), 'keys.db');
  const store = openSqliteStore({ path, clock: systemClock, cachedKeysMax: 2 });
  stores.push(store);
  const project = await store.projects.add({ name: 'shop', by });
  const hashes: string[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    const { key } = await store.keys.create({ projectId: project.id, name, by });
    hashes.push(hashKey(key));
  }
  const first = store.lookup(hashes[0] ?? '');
  expect(store.lookup(hashes[0] ?? '')).toBe(first);
  for (const hash of hashes) expect(store.lookup(hash)).toBeDefined();
  expect(store.lookup(hashes[0] ?? '')).not.toBe(first);
});

test('last-used dates of another process do not empty the memory', async () => {
  const path = join(folder(), 'keys.db');
  const { store, hash, record } = await withKey(path);
  const before = store.lookup(hash);
  await changer(path, 'use', record.id).done();
  expect(store.lookup(hash)).toBe(before);
});
