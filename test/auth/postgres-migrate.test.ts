import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { migratePostgres } from '../../src/auth/postgres-migrate.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { changer } from './changer.ts';
import { createManualClock } from './manual-clock.ts';
import { usePostgres, withKey } from './postgres-under-test.ts';
import { startSilentPostgres } from './silent-postgres.ts';

const by = 'test:ada';
const postgres = usePostgres();

/** The URL of another role, with a password that no message may hold. */
const password = 'tell-nobody';
function urlOf(role: string, url: string): string {
  return url.replace('postgres@', `${role}:${password}@`);
}

async function refusal(opening: Promise<unknown>): Promise<string> {
  const fault: unknown = await opening.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(fault).toMatchObject({ kind: 'store_unavailable' });
  expect(String(fault)).not.toContain(password);
  return (fault as { hint: string }).hint;
}

describe('the tables', () => {
  test('are made once by processes that open a new database at the same time', async () => {
    const url = await postgres.freshDatabase();
    const writers = [1, 2, 3, 4].map((n) => changer(url, 'add-projects', `p${n}`, '10').done());
    expect((await Promise.all(writers)).map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const store = await postgres.open(url);
    expect((await store.projects.list()).items).toHaveLength(40);
    expect((await store.audit.list()).items).toHaveLength(40);
  });

  test('are made once, by a step of its own; after that there is nothing to do', async () => {
    const url = await postgres.freshDatabase();
    const migrate = () => migratePostgres({ url, clock: systemClock });
    const done = await Promise.all(Array.from({ length: 6 }, migrate));
    expect(done.flat()).toEqual([1]);
    expect(await migrate()).toEqual([]);
  });

  test('of a newer or a different program are refused', async () => {
    const url = await postgres.freshDatabase();
    await postgres.open(url);
    await postgres.sql(url, "INSERT INTO gateway_migrations (number, checksum) VALUES (999, 'x')");
    expect(await refusal(postgres.open(url))).toMatch(/newer version .* use that version/);
    await postgres.sql(url, 'DELETE FROM gateway_migrations WHERE number = 999');
    await postgres.sql(url, "UPDATE gateway_migrations SET checksum = 'x'");
    expect(await refusal(postgres.open(url))).toMatch(/another program \(step 1 differs\)/);
  });

  test('are looked for and made in the schema that search_path names', async () => {
    const url = await postgres.freshDatabase();
    const inSchema = (name: string) => `${url}?options=-c%20search_path%3D${name}`;
    expect(await refusal(postgres.open(inSchema('one')))).toMatch(/^create the schema/);
    await postgres.sql(url, 'CREATE SCHEMA one');
    await postgres.sql(url, 'CREATE SCHEMA two');
    const one = await postgres.open(inSchema('one'));
    const two = await postgres.open(inSchema('two'));
    await withKey(one);
    expect((await one.keys.list()).items).toHaveLength(1);
    expect((await two.keys.list()).items).toHaveLength(0);
    const sql = "SELECT count(*)::int AS count FROM pg_tables WHERE schemaname = 'public'";
    expect(await postgres.sql(url, sql)).toEqual([{ count: 0 }]);
  });

  test('of something else in the way are left alone, and nothing is made beside them', async () => {
    const url = await postgres.freshDatabase();
    await postgres.sql(url, 'CREATE TABLE projects (title text)');
    expect(await refusal(postgres.open(url))).toMatch(/^give the key store a schema or a database/);
    const sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
    expect(await postgres.sql(url, sql)).toEqual([{ tablename: 'projects' }]);
  });
});

describe('a role that may not make tables', () => {
  async function withRole(role: string): Promise<string> {
    const url = await postgres.freshDatabase();
    await postgres.sql(url, `CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    return url;
  }

  test('opens a store that has them all, and works with the rights on rows', async () => {
    const url = await withRole('clerk');
    await migratePostgres({ url, clock: systemClock });
    await postgres.sql(
      url,
      'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk',
    );
    await postgres.sql(url, 'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk');
    const store = await postgres.open(urlOf('clerk', url));
    const { record } = await withKey(store);
    await store.recordUsage(new Map([[record.id, 60_000]]));
    expect(await store.keys.revoke(record.id, { by })).toMatchObject({ effective: true });
    await store.source.holdLease(1_000);
  });

  test('is told what to do where some are missing', async () => {
    const url = await withRole('guest');
    expect(await refusal(postgres.open(urlOf('guest', url)))).toMatch(
      /^give "guest" the rights .* mibo-gateway migrate .*permission denied for schema public/,
    );
  });
});

describe('a server that cannot be opened', () => {
  test('is named with what to check, and never with the password', async () => {
    const url = await postgres.freshDatabase();
    await postgres.sql(url, `CREATE ROLE other LOGIN PASSWORD 'another'`);
    const { port } = new URL(url);
    expect(await refusal(postgres.open(urlOf('other', url)))).toMatch(
      `check user and password of the key store: PostgreSQL at 127.0.0.1:${port} refused "other"`,
    );
    expect(await refusal(postgres.open(url.replace('postgres@', 'other@')))).toMatch(
      /^check user and password/,
    );
    expect(await refusal(postgres.open(url.replace(/test_\w+$/, 'nowhere')))).toMatch(
      `create the database "nowhere" at 127.0.0.1:${port}`,
    );
    expect(await refusal(postgres.open(`postgres://u:${password}@127.0.0.1:1/keys`))).toMatch(
      /^check the key store, PostgreSQL at 127.0.0.1:1, database "keys": .*ECONNREFUSED/,
    );
    for (const wrong of [
      `postgres://u:${password}@host:x/y`,
      `postgres://u:/${password}@127.0.0.1:1/y`,
      `postgres://u:1?${password}@127.0.0.1:1/y`,
      `mysql://u:${password}@h/d`,
      '',
    ]) {
      expect(await refusal(postgres.open(wrong))).toMatch(/^write the URL of the key store as/);
    }
    const withCertificate = `${urlOf('postgres', url)}?sslrootcert=/nowhere/ca.pem`;
    expect(await refusal(postgres.open(withCertificate))).toMatch(
      /^check the certificate .*: \/nowhere\/ca.pem \(ENOENT\)/,
    );
  });

  test('is waited for if it may still come, which is logged once', async () => {
    const url = await postgres.freshDatabase();
    await postgres.server.stop();
    const lines: string[] = [];
    const { promise: saidSo, resolve } = Promise.withResolvers<void>();
    const log = pino(
      {
        // The retries that follow are no news.
        level: 'warn',
      },
      {
        write(line: string) {
          lines.push(line);
          resolve();
        },
      },
    );
    const opening = postgres.open(urlOf('postgres', url), {
      waitMs: 60_000,
      log,
      clock: systemClock,
    });
    await saidSo;
    await postgres.server.start();
    expect((await (await opening).projects.list()).items).toEqual([]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('waiting for the key store');
    expect(lines.join()).not.toContain(password);
  });

  test('is given up within seconds if it lets us in and then answers nothing', async () => {
    const silent = await startSilentPostgres();
    const clock = createManualClock();
    const opening = refusal(postgres.open(silent.url, { clock }));
    await silent.asked(1);
    clock.advance(5_000);
    expect(await opening).toMatch(/^check the key store, .* did not answer within 5000 ms$/);
    silent.close();
  });

  test('that answers nothing is waited for as one that is not there', async () => {
    const silent = await startSilentPostgres();
    const clock = createManualClock();
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    // Time moves on whenever something waits for it alone.
    const after: Clock['after'] = (delayMs, run) => {
      const cancel = clock.after(delayMs, run);
      if (delayMs < 1_000) setImmediate(() => clock.advance(delayMs));
      return cancel;
    };
    const opening = refusal(
      postgres.open(silent.url, { clock: { ...clock, after }, log, waitMs: 30_000 }),
    );
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      await silent.asked(attempt);
      clock.advance(5_000);
    }
    expect(await opening).toMatch(/did not answer within 5000 ms$/);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('waiting for the key store');
    silent.close();
  });

  test('is not waited for where waiting cannot help', async () => {
    const url = (await postgres.freshDatabase()).replace(/test_\w+$/, 'nowhere');
    expect(await refusal(postgres.open(url, { waitMs: 60_000 }))).toMatch(/^create the database/);
  });
});
