import { afterEach, describe, expect, test } from 'vitest';
import { openRedis, type RedisConnection } from '../../src/auth/redis-connection.ts';
import { createRedisScript } from '../../src/auth/redis-script.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { startRedis } from '../harness/redis.ts';
import { createManualClock } from './manual-clock.ts';
import { isDown, isSubscribed, isUp, watchLog } from './redis-log.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Time that stands; `block` moves it as a busy event loop does: timers are due, and wait. */
function createLateClock() {
  const clock = createManualClock();
  let blockedMs = 0;
  return {
    ...clock,
    monotonicMs: () => clock.monotonicMs() + blockedMs,
    block(ms: number) {
      blockedMs += ms;
    },
  };
}

/** A Redis behind a network that fails, and the gateway's connection to it, whose time stands. */
async function connected(args: readonly string[] = []) {
  const server = await startRedis({ args });
  closing.push(server.close);
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: server.port });
  closing.push(proxy.close);
  const clock = createLateClock();
  const watched = watchLog();
  const url = `redis://127.0.0.1:${proxy.port}`;
  const redis = openRedis({ url, keyPrefix: 'mibo:', clock, log: watched.log });
  closing.push(redis.close);
  await watched.next(isUp);
  return { server, proxy, clock, watched, redis };
}

function ping(redis: RedisConnection): Promise<string | undefined> {
  return redis.ask((client) => client.ping());
}

describe('asking Redis', () => {
  test('is answered while it is up', async () => {
    const { redis } = await connected();
    expect(redis.state()).toBe('up');
    expect(await ping(redis)).toBe('PONG');
  });

  test('waits for the first connection rather than to be turned away by it', async () => {
    const server = await startRedis();
    closing.push(server.close);
    const clock = createManualClock();
    const redis = openRedis({ url: server.url, keyPrefix: '', clock });
    closing.push(redis.close);
    expect(redis.state()).toBe('down');
    expect(await ping(redis)).toBe('PONG');
  });

  test('a Redis that hangs from the start costs the deadline once', async () => {
    const server = await startRedis();
    closing.push(server.close);
    server.pause();
    const clock = createManualClock();
    const url = `${server.url.replace('redis://', 'redis://:waits-for-AUTH@')}`;
    const redis = openRedis({ url, keyPrefix: '', clock });
    closing.push(redis.close);
    const first = ping(redis);
    clock.advance(50);
    expect(await first).toBeUndefined();
    expect(await ping(redis)).toBeUndefined();
  });

  test('a Redis that hangs costs the deadline once, and nothing while it is down', async () => {
    const { server, clock, redis, watched } = await connected();
    server.pause();
    const first = ping(redis);
    clock.advance(50);
    expect(await first).toBeUndefined();
    expect(redis.state()).toBe('down');
    let asked = 0;
    const answers = Array.from({ length: 1000 }, () =>
      redis.ask((client) => {
        asked += 1;
        return client.ping();
      }),
    );
    expect((await Promise.all(answers)).every((answer) => answer === undefined)).toBe(true);
    expect(asked).toBe(0);
    clock.advance(250);
    server.resume();
    await watched.next(isUp);
    expect(await ping(redis)).toBe('PONG');
  });

  test('an answer that came late by the clock does not count, even if it came', async () => {
    const { clock, redis } = await connected();
    const answer = await redis.ask(async (client) => {
      const pong = await client.ping();
      clock.block(51);
      return pong;
    });
    expect(answer).toBeUndefined();
    expect(redis.state()).toBe('down');
  });

  test('a connection that stays silent is replaced, also without a word of its end', async () => {
    const { proxy, clock, redis, watched } = await connected();
    proxy.hang();
    const first = ping(redis);
    clock.advance(50);
    await first;
    await watched.next(isDown);
    clock.advance(250);
    const silent = watched.next(isDown);
    clock.advance(2_000);
    await silent;
    clock.advance(250);
    await proxy.heal();
    await watched.next(isUp);
    expect(proxy.accepted).toBe(2);
    expect(await ping(redis)).toBe('PONG');
  });

  test('a connection that nobody uses is looked after', async () => {
    const { server, clock, redis, watched } = await connected();
    server.pause();
    clock.advance(10_000);
    clock.advance(2_000);
    await watched.next(isDown);
    expect(redis.state()).toBe('down');
  });

  test('pauses between attempts grow to five seconds, and no further', async () => {
    const { proxy, clock, watched } = await connected();
    proxy.cut();
    await watched.next(isDown);
    const pausesMs: number[] = [];
    for (const pauseMs of [250, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
      const attempt = watched.next(isDown);
      const before = watched.lines.length;
      clock.advance(pauseMs - 1);
      await new Promise(setImmediate);
      expect(watched.lines).toHaveLength(before);
      clock.advance(1);
      await attempt;
      pausesMs.push(pauseMs);
    }
    await proxy.heal();
    clock.advance(5_000);
    await watched.next(isUp);
  });

  test('a server that went and came back is found again', async () => {
    const { server, clock, redis, watched } = await connected();
    await server.stop();
    await watched.next(isDown);
    expect(await ping(redis)).toBeUndefined();
    const refused = watched.next(isDown);
    clock.advance(250);
    await refused;
    await server.start();
    clock.advance(250);
    await watched.next(isUp);
    expect(await ping(redis)).toBe('PONG');
  });

  test('a connection that is reset under a question is a fault, not an exception', async () => {
    const { proxy, redis } = await connected();
    proxy.hang();
    const answer = ping(redis);
    proxy.cut();
    expect(await answer).toBeUndefined();
    expect(redis.state()).toBe('down');
  });

  test('an error reply about one command leaves the connection up', async () => {
    const { server, redis, watched } = await connected();
    await server.command('HSET', 'a', 'field', 1);
    expect(await redis.ask((client) => client.get('a'))).toBeUndefined();
    expect(await watched.next('Redis refuses a command')).toContain('"cause":"WRONGTYPE"');
    expect(redis.state()).toBe('up');
    expect(await ping(redis)).toBe('PONG');
  });

  test('a server that was made a replica is left, since it takes no writes', async () => {
    const { server, proxy, clock, redis, watched } = await connected();
    await server.command('REPLICAOF', '127.0.0.1', 1);
    expect(await redis.ask((client) => client.set('a', '1'))).toBeUndefined();
    expect(await watched.next(isDown)).toContain('"cause":"READONLY"');
    await server.command('REPLICAOF', 'NO', 'ONE');
    clock.advance(250);
    await watched.next(isUp);
    expect(proxy.accepted).toBe(2);
  });

  test('no more than a thousand questions are under way', async () => {
    const { proxy, redis } = await connected();
    proxy.hang();
    let asked = 0;
    const answers = Array.from({ length: 1_200 }, () =>
      redis.ask((client) => {
        asked += 1;
        return client.ping();
      }),
    );
    await Promise.all(answers.slice(1_000));
    expect(asked).toBe(1_000);
    await proxy.heal();
    expect(await Promise.all(answers.slice(0, 1_000))).toEqual(Array(1_000).fill('PONG'));
    expect(await ping(redis)).toBe('PONG');
  });

  test('a script outlives SCRIPT FLUSH and a restart', async () => {
    const { server, clock, redis, watched } = await connected();
    const double = createRedisScript("return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)");
    const run = () => redis.ask((client) => double(client, 'n', [21]));
    expect(await run()).toBe(42);
    expect(await run()).toBe(84);
    await server.command('SCRIPT', 'FLUSH');
    expect(await run()).toBe(126);
    await server.stop();
    await watched.next(isDown);
    await server.start();
    clock.advance(250);
    await watched.next(isUp);
    expect(await run()).toBe(42);
  });

  test('a question that throws is no answer', async () => {
    const { redis } = await connected();
    const broken = redis.ask(() => {
      throw new Error('of its own');
    });
    expect(await broken).toBeUndefined();
  });

  test('nothing is asked after the end, which may be said twice', async () => {
    const { redis, clock } = await connected();
    redis.close();
    redis.close();
    expect(await ping(redis)).toBeUndefined();
    clock.advance(60_000);
    expect(redis.state()).toBe('down');
  });
});

test('an end while the first connection is being made is the end', async () => {
  const server = await startRedis();
  closing.push(server.close);
  server.pause();
  const clock = createManualClock();
  const watched = watchLog();
  const redis = openRedis({ url: server.url, keyPrefix: '', clock, log: watched.log });
  const answer = ping(redis);
  redis.close();
  expect(await answer).toBeUndefined();
  clock.advance(60_000);
  expect(watched.lines).toEqual([]);
});

describe('what the log says', () => {
  test('the same fault is told once a minute, and its end', async () => {
    const { proxy, clock, watched } = await connected();
    proxy.cut();
    await watched.next(isDown);
    for (let attempts = 0; attempts < 12; attempts += 1) {
      const attempt = watched.next(isDown);
      clock.advance(5_000);
      await attempt;
    }
    await proxy.heal();
    clock.advance(5_000);
    await watched.next(isUp);
    const levels = (text: string) =>
      watched.lines
        .filter((line) => line.includes(text) && !line.includes('"debug"'))
        .map((line) => (JSON.parse(line) as { level: string; cause?: string }).cause);
    expect(levels(isDown).filter((cause) => cause === 'ECONNREFUSED')).toHaveLength(1);
    expect(levels(isUp)).toHaveLength(2);
  });

  test('a missing and a wrong password are named with their cure, and never shown', async () => {
    const server = await startRedis({ args: ['--requirepass', 'open-sesame'] });
    closing.push(server.close);
    const causes = await Promise.all(
      ['', ':wr0ng-one@', 'ada:wr0ng-one@'].map(async (account) => {
        const watched = watchLog();
        const url = `redis://${account}127.0.0.1:${server.port}`;
        const clock = createManualClock();
        const redis = openRedis({ url, keyPrefix: '', clock, log: watched.log });
        closing.push(redis.close);
        const line = await watched.next(isDown);
        expect(line).toContain('auth.redis.url');
        expect(line).not.toContain('wr0ng');
        expect(await ping(redis)).toBeUndefined();
        return (JSON.parse(line) as { cause: string }).cause;
      }),
    );
    expect(causes).toEqual(['NOAUTH', 'WRONGPASS', 'WRONGPASS']);
  });

  test('the right password is let in', async () => {
    const server = await startRedis({ args: ['--requirepass', 'open sesame/@'] });
    closing.push(server.close);
    const url = `redis://:${encodeURIComponent('open sesame/@')}@127.0.0.1:${server.port}/3`;
    const redis = openRedis({ url, keyPrefix: '', clock: createManualClock() });
    closing.push(redis.close);
    expect(await redis.ask((client) => client.set('a', '1'))).toBe('OK');
    expect(await server.command('INFO', 'keyspace')).toContain('db3:keys=1');
  });
});

describe('subscriptions', () => {
  async function subscribed(args: readonly string[] = []) {
    const connection = await connected(args);
    let heard = 0;
    let tell = (): void => {};
    connection.redis.subscribe('mibo:changes', () => {
      heard += 1;
      tell();
    });
    await connection.watched.next(isSubscribed);
    const publish = async (): Promise<void> => {
      const told = new Promise<void>((resolve) => {
        tell = resolve;
      });
      await connection.server.command('PUBLISH', 'mibo:changes', '1');
      await told;
    };
    return { ...connection, publish, heard: () => heard };
  }

  test('hear what any process publishes', async () => {
    const { publish, heard } = await subscribed();
    await publish();
    await publish();
    expect(heard()).toBe(2);
  });

  test('are made again after the connection was cut', async () => {
    const { proxy, clock, watched, publish } = await subscribed();
    proxy.cut();
    await watched.next('tells of no changes');
    await proxy.heal();
    clock.advance(250);
    await watched.next(isSubscribed);
    await publish();
  });

  test('find out by themselves that their connection is dead, and replace it', async () => {
    const { proxy, clock, watched, publish } = await subscribed();
    proxy.hang();
    const dead = watched.next('tells of no changes');
    clock.advance(10_000);
    clock.advance(2_000);
    await dead;
    await proxy.heal();
    clock.advance(250);
    await watched.next(isSubscribed);
    await publish();
  });
});
