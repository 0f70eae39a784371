import { afterEach, describe, expect, test } from 'vitest';
import type { AgentNames, StoredKey, Versioned } from '../../src/auth/key-source.ts';
import { createRedisCache } from '../../src/auth/redis-cache.ts';
import { openRedis } from '../../src/auth/redis-connection.ts';
import type { SharedCache } from '../../src/auth/shared-cache.ts';
import { type RedisServer, startRedis } from '../harness/redis.ts';
import { createManualClock } from './manual-clock.ts';
import { isDown, isSubscribed, isUp, watchLog } from './redis-log.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const hash = 'ab'.repeat(32);
const name = `mibo:key:${hash}`;
const ttlMs = 300_000;

const scoped: StoredKey = {
  keyId: 'key_1',
  keyName: 'Ada\u2019s "laptop"\n',
  projectId: 'prj_1',
  scope: 'agents',
  agents: ['7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c'],
  expiresAtMs: 1_800_000_000_000,
};
const unrestricted: StoredKey = {
  ...scoped,
  scope: 'all',
  agents: [],
  expiresAtMs: undefined,
};

function at<Value>(version: number, value: Value): Versioned<Value> {
  return { version, value };
}

async function cacheOf(server: RedisServer) {
  const clock = createManualClock();
  const watched = watchLog();
  const redis = openRedis({ url: server.url, keyPrefix: 'mibo:', clock, log: watched.log });
  closing.push(redis.close);
  await watched.next(isUp);
  return { cache: createRedisCache({ redis, ttlMs }), redis, clock, watched };
}

async function started(args: readonly string[] = []) {
  const server = await startRedis({ args });
  closing.push(server.close);
  return { server, ...(await cacheOf(server)) };
}

function revoked(version: number, projects: readonly string[] = []) {
  return { version, keys: [hash], projects };
}

async function versionOf(cache: SharedCache): Promise<number | undefined> {
  return (await cache.readKey(hash))?.version;
}

describe('records', () => {
  test('come back as they were filled', async () => {
    const { cache } = await started();
    expect(await cache.readKey(hash)).toBeUndefined();
    expect(await cache.readAgents('prj_1')).toBeUndefined();
    await cache.fillKey(hash, at(7, scoped));
    expect(await cache.readKey(hash)).toEqual(at(7, scoped));
    await cache.fillKey(hash, at(8, unrestricted));
    expect(await cache.readKey(hash)).toEqual(at(8, unrestricted));
    const agents: AgentNames = new Map([['id-1', 'Planner']]);
    await cache.fillAgents('prj_1', at(9, agents));
    expect(await cache.readAgents('prj_1')).toEqual(at(9, agents));
    await cache.fillAgents('prj_2', at(9, new Map()));
    expect(await cache.readAgents('prj_2')).toEqual(at(9, new Map()));
  });

  test('of a key that lost all its agents stay scoped', async () => {
    const { cache } = await started();
    await cache.fillKey(hash, at(7, { ...scoped, agents: [] }));
    expect((await cache.readKey(hash))?.value.scope).toBe('agents');
  });

  test('an older one never takes the place of a newer one', async () => {
    const { cache } = await started();
    await cache.fillKey(hash, at(10, scoped));
    await cache.fillKey(hash, at(9, unrestricted));
    expect(await cache.readKey(hash)).toEqual(at(10, scoped));
  });

  test('whose text is compared as numbers: 10 is newer than 9', async () => {
    const { cache } = await started();
    await cache.fillKey(hash, at(9, scoped));
    await cache.fillKey(hash, at(10, unrestricted));
    expect(await versionOf(cache)).toBe(10);
  });

  test('end after a fixed time, however often they are read or filled again', async () => {
    const { cache, server } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await server.command('PEXPIRE', name, 200_000);
    await cache.readKey(hash);
    await cache.fillKey(hash, at(7, scoped));
    await cache.fillKey(hash, at(6, scoped));
    expect(await server.command('PTTL', name)).toBeLessThanOrEqual(200_000);
    await cache.fillKey(hash, at(8, scoped));
    const leftMs = await server.command('PTTL', name);
    expect(leftMs).toBeGreaterThan(200_000);
    expect(leftMs).toBeLessThanOrEqual(ttlMs);
  });

  test('hold no key, and nothing of keys that are not known', async () => {
    const { cache, server } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await server.command('CONFIG', 'RESETSTAT');
    for (let round = 0; round < 100; round += 1) {
      const asked = Array.from({ length: 1_000 }, (_, index) => `${round}-${index}`);
      await Promise.all(asked.map((unknown) => cache.readKey(unknown)));
    }
    expect(await server.command('DBSIZE')).toBe(1);
    const stats = String(await server.command('INFO', 'commandstats'));
    expect(stats).toContain('cmdstat_get:calls=100000,');
    expect(stats).not.toMatch(/cmdstat_(set|eval|evalsha|hset|sadd|incr)\b/);
    expect(await server.command('GET', name)).not.toContain('mibo_');
  });
});

describe('tombstones', () => {
  test('a late fill after a tombstone loses', async () => {
    const { cache } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await cache.announce(revoked(8));
    expect(await cache.readKey(hash)).toBeUndefined();
    await cache.fillKey(hash, at(7, scoped));
    expect(await cache.readKey(hash)).toBeUndefined();
  });

  test('a record that knows the change takes the place of its tombstone', async () => {
    const { cache } = await started();
    await cache.announce(revoked(8));
    await cache.fillKey(hash, at(8, unrestricted));
    expect(await cache.readKey(hash)).toEqual(at(8, unrestricted));
  });

  test('a late tombstone does not end a record that knows its change', async () => {
    const { cache } = await started();
    await cache.fillKey(hash, at(8, unrestricted));
    await cache.announce(revoked(8));
    await cache.announce(revoked(7));
    expect(await versionOf(cache)).toBe(8);
  });

  test('an older one never takes the place of a newer one', async () => {
    const { cache } = await started();
    await cache.announce(revoked(9));
    await cache.announce(revoked(8));
    await cache.fillKey(hash, at(8, scoped));
    expect(await cache.readKey(hash)).toBeUndefined();
  });

  test('outlive every record that they could meet, and end', async () => {
    const { cache, server } = await started();
    await cache.announce(revoked(8));
    const leftMs = await server.command('PTTL', name);
    expect(leftMs).toBeGreaterThan(ttlMs);
    expect(leftMs).toBeLessThanOrEqual(2 * ttlMs);
  });

  test('stand for the agents of a project, too', async () => {
    const { cache } = await started();
    await cache.fillAgents('prj_1', at(7, new Map()));
    await cache.announce({ version: 8, keys: [], projects: ['prj_1'] });
    await cache.fillAgents('prj_1', at(7, new Map()));
    expect(await cache.readAgents('prj_1')).toBeUndefined();
  });

  test('an announcement of very many names is cut short, and wakes up all the same', async () => {
    const { cache, server } = await started();
    const keys = Array.from({ length: 10_000 }, (_, index) => `hash-${index}`);
    await server.command('CONFIG', 'RESETSTAT');
    await cache.announce({ version: 8, keys, projects: [] });
    expect(await server.command('DBSIZE')).toBe(500);
    expect(await server.command('INFO', 'commandstats')).toContain('cmdstat_publish:calls=1,');
  });
});

describe('what is in Redis and is none of ours', () => {
  test.each([
    ['another program\u2019s text', 'hello'],
    ['nothing', ''],
    ['another format', '7 k2 ["key_1","n","prj_1",null,null]'],
    ['half a record', '7 k1 ["key_1","n'],
    ['a field too few', '7 k1 ["key_1","n","prj_1",null]'],
    ['a name that is a number', '7 k1 ["key_1",5,"prj_1",null,null]'],
    ['agents that are no texts', '7 k1 ["key_1","n","prj_1",[1],null]'],
    ['agents that are a text', '7 k1 ["key_1","n","prj_1","all",null]'],
    ['an expiry that is a text', '7 k1 ["key_1","n","prj_1",null,"never"]'],
    ['an object', '7 k1 {"keyId":"key_1"}'],
    ['a version that is no whole number', '7.5 k1 ["key_1","n","prj_1",null,null]'],
    ['digits that no number holds', '99999999999999999999 k1 ["key_1","n","prj_1",null,null]'],
    ['the agents of a project', '7 a1 []'],
  ])('%s is no record, and a fill replaces it', async (_, text) => {
    const { cache, server } = await started();
    await server.command('SET', name, text);
    expect(await cache.readKey(hash)).toBeUndefined();
    if (/^\d+ /.test(text)) return;
    await cache.fillKey(hash, at(7, scoped));
    expect(await versionOf(cache)).toBe(7);
  });

  test.each([
    ['SADD', 'member'],
    ['HSET', 'field'],
    ['XADD', '*'],
  ])('a name that %s took is no record, and a fill replaces it', async (command, first) => {
    const { cache, server } = await started();
    await server.command(command, name, first, 'a', ...(command === 'XADD' ? ['b'] : []));
    expect(await cache.readKey(hash)).toBeUndefined();
    await cache.fillKey(hash, at(7, scoped));
    expect(await versionOf(cache)).toBe(7);
  });

  test.each(['7 a1 {}', '7 a1 [["id"]]', '7 a1 [["id",1]]', '7 a1 ["id"]', '7 k1 []'])(
    '%s are no agents',
    async (text) => {
      const { cache, server } = await started();
      await server.command('SET', 'mibo:agents:prj_1', text);
      expect(await cache.readAgents('prj_1')).toBeUndefined();
    },
  );
});

describe('faults', () => {
  test('everything deleted is an empty cache, that fills again', async () => {
    const { cache, server } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await server.command('FLUSHALL');
    await server.command('SCRIPT', 'FLUSH');
    expect(await cache.readKey(hash)).toBeUndefined();
    await cache.fillKey(hash, at(7, scoped));
    expect(await versionOf(cache)).toBe(7);
  });

  test('a Redis restored from an old dump answers with the old version', async () => {
    const { cache, server, clock, watched } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await server.command('SAVE');
    await cache.announce(revoked(8));
    expect(await cache.readKey(hash)).toBeUndefined();
    await server.stop();
    await watched.next(isDown);
    await server.start();
    clock.advance(250);
    await watched.next(isUp);
    expect(await cache.readKey(hash)).toEqual(at(7, scoped));
  });

  test('while Redis is down every call ends, with nothing', async () => {
    const { cache, redis, server, watched } = await started();
    await server.stop();
    await watched.next(isDown);
    expect(redis.state()).toBe('down');
    expect(await cache.readKey(hash)).toBeUndefined();
    expect(await cache.readAgents('prj_1')).toBeUndefined();
    await cache.fillKey(hash, at(7, scoped));
    await cache.fillAgents('prj_1', at(7, new Map()));
    await cache.announce(revoked(8));
    redis.close();
    redis.close();
  });

  test('a Redis that is out of memory takes no fills, and is read on', async () => {
    const { cache, redis, server } = await started();
    await cache.fillKey(hash, at(7, scoped));
    await server.command('CONFIG', 'SET', 'maxmemory', 1);
    await cache.fillKey(hash, at(8, scoped));
    expect(await versionOf(cache)).toBe(7);
    expect(redis.state()).toBe('up');
  });
});

describe('announcements', () => {
  test('wake up every process that listens, the one that announces too', async () => {
    const { server, cache, watched } = await started();
    const other = await cacheOf(server);
    const woken = [cache, other.cache].map(
      (each) => new Promise<void>((resolve) => each.onAnnouncement(resolve)),
    );
    await watched.next(isSubscribed);
    await other.watched.next(isSubscribed);
    await cache.announce({ version: 9, keys: [], projects: [] });
    await Promise.all(woken);
  });

  test('that nobody may hear break nothing', async () => {
    const acl = ['--user', 'default', 'on', 'nopass', '~*', '+@all', 'resetchannels'];
    const { cache, watched } = await started(acl);
    cache.onAnnouncement(() => {});
    expect(await watched.next('tells of no changes')).toContain('"cause":"NOPERM"');
    await cache.fillKey(hash, at(7, scoped));
    expect(await versionOf(cache)).toBe(7);
  });
});
