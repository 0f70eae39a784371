/**
 * The shared limits on a real Redis. Its clock cannot be moved, and is the one that the limits go
 * by; so what passed is compared with the time that Redis itself says has gone by. The gateways'
 * own time follows that clock between their requests and never while an answer is out, so that no
 * answer is late, however busy the machine.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { createKeyLimits, type KeyLimits } from '../../src/auth/auth.ts';
import { openRedis } from '../../src/auth/redis-connection.ts';
import { createRedisLimits } from '../../src/auth/redis-limits.ts';
import type { GatewayError } from '../../src/core/errors.ts';
import { type RedisServer, startRedis } from '../harness/redis.ts';
import { createManualClock } from './manual-clock.ts';
import { isDown, isUp, watchLog } from './redis-log.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const none = { requestsPerSecond: 0, spansPerSecond: 0, bytesPerSecond: 0 };

async function redisServer(): Promise<RedisServer> {
  const server = await startRedis();
  closing.push(server.close);
  return server;
}

async function gatewayOn(server: RedisServer, limits: Partial<typeof none>) {
  const clock = createManualClock();
  const watched = watchLog();
  const redis = openRedis({ url: server.url, keyPrefix: 'mibo:', clock, log: watched.log });
  closing.push(redis.close);
  await watched.next(isUp);
  const made = createKeyLimits({
    limits: { ...none, ...limits },
    shared: createRedisLimits(redis),
    clock,
  });
  if (made === undefined) throw new Error('nothing is limited');
  return { clock, watched, redis, limits: made };
}

type Gateway = Awaited<ReturnType<typeof gatewayOn>>;

async function passes(run: () => void | Promise<void>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    expect((error as GatewayError).kind).toBe('rate_limited');
    return false;
  }
}

const admits = ({ limits }: Gateway, keyId = 'key_1') => passes(() => limits.admit(keyId));
/** How many pass at this moment; no test lets that many pass. */
async function admitted(gateway: Gateway): Promise<number> {
  let count = 0;
  while (count < 10_000 && (await admits(gateway))) count += 1;
  return count;
}

/** Of 5 a second; Redis' own time goes on, so that a little is left for one more now and then. */
function expectBurst(passed: number): void {
  expect(passed).toBeGreaterThanOrEqual(5);
  expect(passed).toBeLessThan(50);
}

const charges = ({ limits }: Gateway, cost: Parameters<KeyLimits['charge']>[1]) =>
  passes(() => limits.charge('key_1', cost));

async function redisTimeMs(server: RedisServer): Promise<number> {
  const [seconds, micros] = (await server.command('TIME')) as [string, string];
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

describe('limits in Redis', () => {
  test('hold for three gateways together, to the request, by the clock of Redis', async () => {
    const perSecond = 2000;
    const server = await redisServer();
    const gateways = await Promise.all(
      [1, 2, 3].map(() => gatewayOn(server, { requestsPerSecond: perSecond })),
    );
    const beganAtMs = await redisTimeMs(server);
    let [passed, refused, nowMs] = [0, 0, beganAtMs];
    while (passed < perSecond * 1.5 || refused === 0) {
      const crowd = gateways.flatMap((gateway) => new Array<Gateway>(40).fill(gateway));
      const answers = await Promise.all(crowd.map((gateway) => admits(gateway)));
      passed += answers.filter(Boolean).length;
      refused += answers.filter((answer) => !answer).length;
      const atMs = await redisTimeMs(server);
      for (const { clock } of gateways) clock.advance(atMs - nowMs);
      nowMs = atMs;
      expect(passed).toBeLessThanOrEqual(perSecond * (1 + (nowMs - beganAtMs) / 1000) + 1);
    }
    for (const { redis } of gateways) expect(redis.state()).toBe('up');
  });

  test('give a key that is refused all that it has: nothing is lost between gateways', async () => {
    const server = await redisServer();
    const gateways = await Promise.all(
      [1, 2].map(() => gatewayOn(server, { requestsPerSecond: 1000 })),
    );
    let passed = 0;
    let open = gateways;
    while (open.length > 0) {
      const answers = await Promise.all(open.map((gateway) => admits(gateway)));
      passed += answers.filter(Boolean).length;
      open = open.filter((_, index) => answers[index]);
    }
    expect(passed).toBeGreaterThanOrEqual(1000);
  });

  test('let a batch of more than a second pass, and then nothing at any gateway', async () => {
    const server = await redisServer();
    const limits = { spansPerSecond: 10, bytesPerSecond: 1_000_000_000_000 };
    const [one, other] = [await gatewayOn(server, limits), await gatewayOn(server, limits)];
    expect(await charges(one, { spans: 100_000, bytes: 64 })).toBe(true);
    expect(await charges(other, { spans: 1, bytes: 64 })).toBe(false);
    expect(await admits(other)).toBe(false);
    const [spans, bytes] = other.limits.stateOf('key_1');
    expect(spans?.waitMs).toBeGreaterThan(9_900_000);
    expect(spans?.waitMs).toBeLessThan(10_000_000);
    expect(bytes).toMatchObject({ waitMs: 0 });
  });

  test('are one entry for each key in use, which ends when its limits are full again', async () => {
    const server = await redisServer();
    const gateway = await gatewayOn(server, { requestsPerSecond: 1, spansPerSecond: 1 });
    await admits(gateway, 'key_1');
    await admits(gateway, 'key_2');
    await charges(gateway, { spans: 3600, bytes: 1 });
    const names = (await server.command('KEYS', '*')) as string[];
    expect(names.sort()).toEqual(['mibo:limits:{key_1}', 'mibo:limits:{key_2}']);
    const [long, short] = await Promise.all(names.map((name) => server.command('PTTL', name)));
    expect(long).toBeLessThanOrEqual(3_600_000);
    expect(long).toBeGreaterThan(3_590_000);
    expect(short).toBeLessThanOrEqual(1000);
  });

  test('are those of each gateway while Redis is down, and shared once it is back', async () => {
    const server = await redisServer();
    const perSecond = 20;
    const limits = { requestsPerSecond: perSecond, spansPerSecond: perSecond };
    const gateways = [await gatewayOn(server, limits), await gatewayOn(server, limits)];
    const down = gateways.map(({ watched }) => watched.next(isDown));
    await server.stop();
    await Promise.all(down);
    for (const gateway of gateways) expect(await admitted(gateway)).toBe(perSecond);
    const up = gateways.map(({ watched }) => watched.next(isUp));
    await server.start();
    for (const { clock } of gateways) clock.advance(250);
    await Promise.all(up);
    const [one, other] = gateways as [Gateway, Gateway];
    expect(await charges(one, { spans: 3600 * perSecond, bytes: 0 })).toBe(true);
    expect(await charges(other, { spans: 1, bytes: 0 })).toBe(false);
  });

  test('are paid in time although the clock of Redis was set back', async () => {
    const server = await redisServer();
    const gateway = await gatewayOn(server, { requestsPerSecond: 5 });
    const hourMs = 3_600_000;
    const setBackTo = String(((await redisTimeMs(server)) + hourMs) * 1000);
    const name = 'mibo:limits:{key_1}';
    await server.command('HSET', name, 'at', setBackTo, 'requests', setBackTo);
    expectBurst(await admitted(gateway));
  });

  test.each(['inf', '1e308', 'nan', '-1', '0x7fffffffffffffff', 'x'])(
    'stand although Redis holds %s for them',
    async (value) => {
      const server = await redisServer();
      const gateway = await gatewayOn(server, { requestsPerSecond: 5 });
      await server.command('HSET', 'mibo:limits:{key_1}', 'requests', value);
      expectBurst(await admitted(gateway));
    },
  );

  test('of a key in debt are asked about again, as Redis may have been emptied', async () => {
    const server = await redisServer();
    const gateway = await gatewayOn(server, { spansPerSecond: 1 });
    expect(await charges(gateway, { spans: 3600, bytes: 0 })).toBe(true);
    expect(await charges(gateway, { spans: 1, bytes: 0 })).toBe(false);
    await server.command('FLUSHALL');
    gateway.clock.advance(1_001);
    expect(await charges(gateway, { spans: 1, bytes: 0 })).toBe(true);
  });

  test('of a Redis that hangs are local after one deadline', async () => {
    const server = await redisServer();
    const gateway = await gatewayOn(server, { requestsPerSecond: 5 });
    server.pause();
    const first = admits(gateway);
    gateway.clock.advance(50);
    expect(await first).toBe(true);
    expect(await admitted(gateway)).toBe(4);
  });
});
