/** The commands where keys are in PostgreSQL, and `start` while the server is not there. */
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, run } from '../harness/command.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { http } from '../harness/http-client.ts';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';
import { type RedisServer, startRedis } from '../harness/redis.ts';
import { sparePort } from '../harness/spare-port.ts';
import { createStarts, type Started } from './start-process.ts';

const starts = createStarts();
let postgres: PostgresServer;
let redis: RedisServer;
let settings: readonly string[] = [];

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  settings = [
    'auth.store.kind=postgres',
    `auth.store.url=${await postgres.freshDatabase()}`,
    `auth.redis.url=${redis.url}`,
  ];
});
afterEach(() => starts.killAll());
afterAll(async () => {
  starts.close();
  await Promise.all([postgres.close(), redis.close()]);
});

/** In a process of its own, which has to end by itself. */
function command(args: readonly string[], more: readonly string[] = []): Promise<Ran> {
  const sets = [...settings, ...more].flatMap((set) => ['--set', set]);
  return run([...args, ...sets], { cwd: starts.folder });
}

test('commands work as they do on SQLite, and end', async () => {
  const database =
    /^Made the tables in PostgreSQL at 127\.0\.0\.1:\d+, database "\w+" \(step 1\)\.\n$/;
  expect((await command(['migrate'])).stderr).toMatch(database);
  expect((await command(['migrate'])).stderr).toMatch(/^Nothing to do: /);
  const none = await command(['keys', 'list']);
  expect(none).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/PostgreSQL at/),
  });
  await command(['projects', 'add', 'Acme']);
  const key = await command(['keys', 'create', '--project', 'Acme', '--name', 'n', '--json']);
  const { id } = JSON.parse(key.stdout);
  expect((await command(['keys', 'list'])).stdout).toContain(id);
  const revoked = await command(['keys', 'revoke', id, '--json']);
  expect(JSON.parse(revoked.stdout)).toEqual({
    effective: true,
    effective_after_ms: expect.any(Number),
  });
  const audit = JSON.parse((await command(['audit', 'list', '--json'])).stdout);
  const actions = audit.items.map(({ action }: { action: string }) => action);
  expect(actions).toEqual(['key.revoke', 'key.create', 'project.add']);
});

test('a revoke says how long it took, which is the lease of the gateways that run', async () => {
  const gateway = starts.start([...settings, 'auth.cache.lease=700ms']);
  await gateway.logged('ready');
  const made = await command(['keys', 'create', '--project', 'Acme', '--name', 'n', '--json']);
  const revoked = await command(['keys', 'revoke', JSON.parse(made.stdout).id, '--json']);
  expect(JSON.parse(revoked.stdout).effective_after_ms).toBeGreaterThanOrEqual(700);
  gateway.child.kill('SIGTERM');
  expect(await gateway.ended).toBe(0);
});

describe('while the server is not there', () => {
  beforeAll(() => postgres.stop());
  afterAll(() => postgres.start());

  test('a command is refused with what to check, without the password', async () => {
    const port = new URL(postgres.url).port;
    const url = `auth.store.url=postgres://ada:Sup3rSecret@127.0.0.1:${port}/keys`;
    const { code, stdout, stderr } = await command(['keys', 'list'], [url]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`check the key store, PostgreSQL at 127.0.0.1:${port}`);
    expect(stderr).not.toContain('Sup3rSecret');
  });

  test('start can be stopped while it waits', async () => {
    const gateway = starts.start(settings);
    await gateway.logged(/^waiting for the key store/);
    await endsAtOnce(gateway);
  });
});

/** Long before the 30 s are over for which the store is waited for. */
async function endsAtOnce({ child, ended }: Started): Promise<void> {
  const signalledAtMs = performance.now();
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(performance.now() - signalledAtMs).toBeLessThan(10_000);
}

describe('with Redis down', () => {
  beforeAll(() => redis.stop());
  afterAll(() => redis.start());

  test('a gateway that is ready can be stopped', async () => {
    const gateway = starts.start(settings);
    await gateway.logged('ready');
    await endsAtOnce(gateway);
    expect(gateway.log.at(-1)).toMatchObject({ msg: 'stopped' });
  });

  test.each([
    { fault: 'cut', name: 'refuses connections' },
    { fault: 'hang', name: 'answers nothing' },
  ] as const)('one that waits for a store that $name can, too', async ({ fault }) => {
    const url = new URL(settings[1]?.replace('auth.store.url=', '') as string);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(url.port) });
    url.port = String(proxy.port);
    proxy[fault]();
    const gateway = starts.start([...settings, `auth.store.url=${url}`]);
    await gateway.logged(/^waiting for the key store/);
    await endsAtOnce(gateway);
    expect(gateway.log.at(-1)).toMatchObject({ msg: 'stopped before it was ready' });
    await proxy.close();
  });
});

test('a port that is taken while start waits is told with what to do', async () => {
  await postgres.stop();
  const port = sparePort();
  const taken = `receivers.otlp.protocols.http.endpoint=127.0.0.1:${port}`;
  const gateway = starts.start([...settings, taken]);
  await gateway.logged(/^waiting for the key store/);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  await postgres.start();
  expect(await gateway.ended).toBe(1);
  other.close();
  expect(gateway.log.filter(({ level }) => level === 'fatal')).toEqual([]);
  expect(gateway.said()).toContain(
    `otlp_http cannot listen at 127.0.0.1:${port}: another process has that port`,
  );
  expect(gateway.said()).toMatch(/choose other addresses/);
});

test('start waits for the server, seen to live but not to be ready', async () => {
  await postgres.stop();
  const port = sparePort();
  const gateway = starts.start([...settings, `telemetry.health.endpoint=127.0.0.1:${port}`]);
  await gateway.logged(/^waiting for the key store/);
  const probe = async (path: string) => (await http({ port, path, method: 'GET' })).status;
  expect([await probe('/livez'), await probe('/readyz')]).toEqual([200, 503]);
  await postgres.start();
  await gateway.logged('ready');
  expect(await probe('/readyz')).toBe(200);
  expect(gateway.log.filter(({ msg }) => /^waiting/.test(String(msg)))).toHaveLength(1);
});
