/** The rights that the operator's page names are enough, for PostgreSQL and for Redis. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminClient } from '../harness/admin-client.ts';
import { expectStatuses } from '../harness/expect-answers.ts';
import { createWorkspace, type Workspace } from '../harness/gateway-process.ts';
import { getText } from '../harness/http-client.ts';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';
import { type RedisServer, startRedis } from '../harness/redis.ts';
import { registryOf } from '../harness/registry.ts';
import { type Sink, startSink } from '../harness/sink.ts';
import { startTraffic } from '../harness/traffic.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/operating.md'), 'utf8');
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const token = 'admin-token-0123456789abcdef';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';

let postgres: PostgresServer;
let redis: RedisServer;
let sink: Sink;
let workspace: Workspace;
let sets: readonly string[];

/** The one block of the page that begins like this. */
function block(begins: string): string {
  const start = page.indexOf(begins);
  return page.slice(start, page.indexOf('```', start)).trim();
}

beforeAll(async () => {
  [postgres, redis, sink] = await Promise.all([startPostgres(), startRedis(), startSink()]);
  workspace = createWorkspace({ downstream: sink.endpoint });
  const owner = await postgres.freshDatabase();
  const place = (url: string) => ['auth.store.kind=postgres', `auth.store.url=${url}`];
  const migrated = await workspace.command([
    'migrate',
    ...place(owner).flatMap((set) => ['--set', set]),
  ]);
  expect(migrated.code, migrated.stderr).toBe(0);
  const client = new Client({ connectionString: owner });
  await client.connect();
  await client.query(block('CREATE ROLE mibo_gateway'));
  await client.end();
  const [command = '', ...words] = block('ACL SETUSER').split(' ');
  await redis.command(command, ...words);
  await redis.command('ACL', 'SETUSER', 'default', 'off');
  sets = [
    ...place(owner.replace('postgres@', 'mibo_gateway:change%20me@')),
    `auth.redis.url=redis://mibo-gateway:change-me@127.0.0.1:${redis.port}`,
    'limits.per_key.requests_per_second=1000',
    `admin.token=${token}`,
  ];
});

afterAll(async () => {
  await workspace?.close();
  await Promise.all([postgres?.close(), redis?.close(), sink?.stop()]);
});

test('a gateway and the commands do all their work with them', async () => {
  const registry = registryOf({
    command: (args, stdin) =>
      workspace.command([...args, ...sets.flatMap((set) => ['--set', set])], stdin),
  });
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  await registry.agent('Support', { id: sales, name: 'Sales bot' });
  const { id, key } = await registry.key('Support', { name: 'a key', agents: [support, sales] });
  const process = await workspace.start(...sets);
  const admin = adminClient({ port: process.ports.admin as number, token });
  await admin.call('DELETE', `/projects/Support/agents/${sales}`);
  const traffic = startTraffic({ gateways: [{ name: 'gateway', process }], keys: { key } });
  expectStatuses(await traffic.more(5), 200);
  await admin.revoke('Support', id);
  expectStatuses(await traffic.more(3), 401);
  await traffic.stop();
  // A busy machine may be too slow for Redis now and then; it is found again.
  while (!/^mibo_gateway_redis_up 1$/m.test(await getText(process.ports.metrics, '/metrics')));
  await process.stop();
  expect(process.logs()).not.toMatch(/"cause":"(?!no answer in time)|not written/);
});
