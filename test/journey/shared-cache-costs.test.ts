/**
 * What a Redis in trouble costs, and what strangers with random keys can do: an empty Redis does
 * not send everybody to the store again and again, a hung one is waited for once, and keys that do
 * not exist take no room and no service away.
 */
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { expectStatuses } from '../harness/expect-answers.ts';
import { getText, http } from '../harness/http-client.ts';
import { type KeyReads, openKeyReads } from '../harness/key-reads.ts';
import { makeExport } from '../harness/make-export.ts';
import { startTraffic } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const body = makeExport({}).proto;
/** However busy the machine is, no gateway asks the store for want of a poll in time. */
const longLease = 'auth.cache.lease=1m';

let cluster: Cluster;
let first: Member;
let reads: KeyReads;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 0, countsStatements: true, sets: [longLease] });
  reads = await openKeyReads(cluster.databaseUrl);
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  first = await cluster.join();
});

afterAll(async () => {
  await reads?.close();
  await cluster?.close();
});

async function newKeys(count: number): Promise<string[]> {
  const keys: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const made = await first.admin.createKey(project, { name: `key ${index}`, agents: [support] });
    keys.push(made.key);
  }
  return keys;
}

async function send(member: Member, key: string, agent?: Agent): Promise<number> {
  const { status } = await http({
    port: member.process.ports.http,
    headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', key],
    body,
    ...(agent === undefined ? {} : { agent }),
  });
  return status;
}

async function leave(...members: readonly Member[]): Promise<void> {
  for (const { process } of members) {
    process.signal('SIGKILL');
    await process.exited;
  }
}

test('Redis is emptied under load: each gateway reads each key from the store once', async () => {
  const keys = await newKeys(20);
  const members = [await cluster.join(), await cluster.join()];
  await cluster.redis.command('FLUSHALL');
  await reads.forget();
  const byName = Object.fromEntries(keys.map((key, index) => [`key ${index}`, key]));
  const traffic = startTraffic({ gateways: members, keys: byName, everyMs: 300 });
  for (let round = 0; round < 5; round += 1) {
    await cluster.redis.command('FLUSHALL');
    expectStatuses(await traffic.more(1), 200);
  }
  await traffic.stop();
  const count = await reads.count();
  expect(count).toBeGreaterThanOrEqual(keys.length);
  expect(count).toBeLessThanOrEqual(keys.length * members.length);
  await leave(...members);
});

test('a hung Redis is waited for once, not for each key', async () => {
  const keys = await newKeys(100);
  const member = await cluster.join();
  expect(await send(member, keys[0] as string)).toBe(200);
  cluster.redis.pause();
  try {
    const beganAtMs = performance.now();
    for (const key of keys) expect(await send(member, key)).toBe(200);
    // Fifty milliseconds for each would be five seconds.
    expect(performance.now() - beganAtMs).toBeLessThan(keys.length * 50);
    expect(await redisUp(member)).toBe(0);
  } finally {
    cluster.redis.resume();
  }
  // It is found again by itself.
  while ((await redisUp(member)) === 0);
  await leave(member);
});

async function redisUp({ process }: Member): Promise<number> {
  const text = await getText(process.ports.metrics, '/metrics');
  return Number(/^mibo_gateway_redis_up (\d)$/m.exec(text)?.[1] ?? Number.NaN);
}

// More than the 10,000 unknown keys that are remembered, which takes its time beside other tests.
test('random keys leave Redis as it is, and a valid key goes on working', {
  timeout: 240_000,
}, async () => {
  const [valid = ''] = await newKeys(1);
  expect(await send(first, valid)).toBe(200);
  const sizeBefore = await cluster.redis.command('DBSIZE');
  const traffic = startTraffic({ gateways: [first], keys: { valid }, everyMs: 20 });
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const counts = new Map<number, number>();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let index = 0; index < 1500; index += 1) {
        const status = await send(first, `mibo_${randomBytes(19).toString('hex')}`, agent);
        counts.set(status, (counts.get(status) ?? 0) + 1);
      }
    }),
  );
  agent.destroy();
  expectStatuses(await traffic.more(3), 200);
  await traffic.stop();
  expectStatuses(traffic.answers, 200);
  // Those that come too thick are told to come again: they may exist.
  for (const status of counts.keys()) expect([401, 503]).toContain(status);
  expect(counts.get(401)).toBeGreaterThan(0);
  expect(await cluster.redis.command('DBSIZE')).toBe(sizeBefore);
});

test('random keys of one address are refused unread after a while; a valid key works', async () => {
  const member = await cluster.join({
    sets: ['limits.unknown_key_failures_per_minute_per_ip=20'],
  });
  const [valid = ''] = await newKeys(1);
  const counts = new Map<number, number>();
  for (let index = 0; index < 60; index += 1) {
    const status = await send(member, `mibo_${randomBytes(19).toString('hex')}`);
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  expect(counts.get(429)).toBeGreaterThanOrEqual(30);
  expect(await send(member, valid)).toBe(200);
  await leave(member);
});
