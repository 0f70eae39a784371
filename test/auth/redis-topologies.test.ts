/** Redis as people run it: with TLS, as a Cluster, behind Sentinel. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createRedisCache } from '../../src/auth/redis-cache.ts';
import { openRedis } from '../../src/auth/redis-connection.ts';
import { systemClock } from '../../src/core/clock.ts';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { startRedis } from '../harness/redis.ts';
import { sparePort } from '../harness/spare-port.ts';
import { createManualClock } from './manual-clock.ts';
import { isDown, isSubscribed, isUp, watchLog } from './redis-log.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const key = {
  keyId: 'key_1',
  keyName: 'n',
  projectId: 'prj_1',
  scope: 'all',
  agents: [],
  expiresAtMs: undefined,
} as const;

async function server(options: Parameters<typeof startRedis>[0] = {}) {
  const started = await startRedis(options);
  closing.push(started.close);
  return started;
}

function open(url: string) {
  const watched = watchLog();
  const clock = createManualClock();
  const redis = openRedis({ url, keyPrefix: 'mibo:', clock, log: watched.log });
  closing.push(redis.close);
  return { watched, clock, redis, cache: createRedisCache({ redis, ttlMs: 300_000 }) };
}

/** In real time: for what only passes when a server says so, however often it is tried. */
function openLasting(url: string) {
  const redis = openRedis({ url, keyPrefix: 'mibo:', clock: systemClock });
  closing.push(redis.close);
  return { redis, cache: createRedisCache({ redis, ttlMs: 300_000 }) };
}

const hashes = Array.from({ length: 20 }, (_, index) => `hash-${index}`);

/** Every kind of command that the gateway sends, over keys that lie everywhere in a Cluster. */
async function worksIn(opened: ReturnType<typeof open>): Promise<void> {
  const { cache } = opened;
  const woken = new Promise<void>((resolve) => cache.onAnnouncement(resolve));
  await opened.watched.next(isSubscribed);
  await Promise.all(hashes.map((hash) => cache.fillKey(hash, { version: 7, value: key })));
  await cache.announce({ version: 8, keys: hashes.slice(10), projects: ['prj_1'] });
  await woken;
  const versions = await Promise.all(
    hashes.map(async (hash) => (await cache.readKey(hash))?.version),
  );
  expect(versions).toEqual([...Array(10).fill(7), ...Array(10).fill(undefined)]);
}

describe('TLS', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mibo-test-redis-tls-'));
    execFileSync('openssl', [
      ...['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem'), '-days', '2'],
      ...['-subj', '/CN=redis', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ]);
    return () => rmSync(folder, { recursive: true });
  });

  /** The port that speaks TLS. */
  async function tlsServer(options: Parameters<typeof startRedis>[0] = {}) {
    for (;;) {
      const tlsPort = sparePort();
      const files = ['--tls-cert-file', join(folder, 'cert.pem')];
      files.push('--tls-key-file', join(folder, 'key.pem'));
      files.push('--tls-ca-cert-file', join(folder, 'cert.pem'));
      const tls = ['--tls-port', String(tlsPort), '--tls-auth-clients', 'no', ...files];
      try {
        const args = [...(options.args ?? []), ...tls];
        return { ...(await server({ ...options, args })), tlsPort };
      } catch (error) {
        if (!/in use/.test(String(error))) throw error;
      }
    }
  }

  function trusting(place: string): string {
    return `${place}${place.includes('?') ? '&' : '?'}ca_file=${join(folder, 'cert.pem')}`;
  }

  test('with the authority that the setting names', async () => {
    const { tlsPort } = await tlsServer();
    const opened = open(trusting(`rediss://127.0.0.1:${tlsPort}`));
    await opened.watched.next(isUp);
    await worksIn(opened);
  });

  test('in a Cluster', async () => {
    const mode = ['--cluster-enabled', 'yes', '--tls-cluster', 'yes'];
    const args = [...mode, '--cluster-announce-ip', '127.0.0.1'];
    const { tlsPort, command } = await tlsServer({ args });
    await command('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
    await until(async () => String(await command('CLUSTER', 'INFO')).includes('_state:ok'));
    const opened = open(trusting(`rediss://127.0.0.1:${tlsPort}?cluster=true`));
    await opened.watched.next(isUp);
    await worksIn(opened);
  });

  test('to Sentinel and to the master', async () => {
    const master = await tlsServer();
    const sentinel = await tlsServer({
      sentinel: [`sentinel monitor main 127.0.0.1 ${master.tlsPort} 1`],
    });
    const opened = open(trusting(`rediss+sentinel://127.0.0.1:${sentinel.tlsPort}/main`));
    await opened.watched.next(isUp);
    await worksIn(opened);
  });

  test('a certificate that nobody vouches for is refused, and named', async () => {
    const { tlsPort } = await tlsServer();
    const { watched, redis } = open(`rediss://127.0.0.1:${tlsPort}`);
    expect(await watched.next(isDown)).toContain('"cause":"DEPTH_ZERO_SELF_SIGNED_CERT"');
    expect(await redis.ask((client) => client.ping())).toBeUndefined();
  });

  test('a certificate of another host is refused', async () => {
    const { tlsPort } = await tlsServer();
    const { watched } = open(trusting(`rediss://localhost:${tlsPort}`));
    expect(await watched.next(isDown)).toContain('"cause":"ERR_TLS_CERT_ALTNAME_INVALID"');
  });

  test('a file that is not there is said at the start', () => {
    expect(() => open('rediss://127.0.0.1:1?ca_file=/not/there.pem')).toThrow('correct ca_file');
  });
});

describe('Redis Cluster', () => {
  /** Two nodes with half of the slots each. */
  async function cluster() {
    const first = await server({ args: ['--cluster-enabled', 'yes'] });
    const second = await server({ args: ['--cluster-enabled', 'yes'] });
    await first.command('CLUSTER', 'ADDSLOTSRANGE', 0, 8191);
    await second.command('CLUSTER', 'ADDSLOTSRANGE', 8192, 16383);
    await first.command('CLUSTER', 'MEET', '127.0.0.1', second.port);
    for (const node of [first, second]) {
      await until(async () => String(await node.command('CLUSTER', 'INFO')).includes('_state:ok'));
    }
    return { first, second };
  }

  test('keys lie on all nodes, announcements reach everybody', async () => {
    const { first, second } = await cluster();
    const opened = open(`${first.url},${second.url}`);
    await opened.watched.next(isUp);
    await worksIn(opened);
    expect(Number(await first.command('DBSIZE'))).toBeGreaterThan(0);
    expect(Number(await second.command('DBSIZE'))).toBeGreaterThan(0);
  });

  test('a master that hangs costs the deadline once; it is down until all answer', async () => {
    const { first, second } = await cluster();
    const { watched, clock, redis, cache } = open(`${first.url}?cluster=true`);
    await watched.next(isUp);
    await Promise.all(hashes.map((hash) => cache.fillKey(hash, { version: 7, value: key })));
    const onSecond = String(await second.command('KEYS', '*')).split(',');
    const there = hashes.find((hash) => onSecond.includes(`mibo:key:${hash}`)) ?? '';
    const here = hashes.find((hash) => !onSecond.includes(`mibo:key:${hash}`)) ?? '';
    second.pause();
    expect((await cache.readKey(here))?.version).toBe(7);
    const late = cache.readKey(there);
    clock.advance(50);
    expect(await late).toBeUndefined();
    await watched.next(isDown);
    expect(await cache.readKey(here)).toBeUndefined();
    clock.advance(250);
    const silent = watched.next(isDown);
    clock.advance(2_000);
    await silent;
    second.resume();
    clock.advance(250);
    await watched.next(isUp);
    expect(await redis.ask((client) => client.get(`mibo:key:${there}`))).toContain('7 k1');
  });

  test('a node that is gone is a fault, not an exception, and found again', async () => {
    const { first, second } = await cluster();
    const { cache } = openLasting(`${first.url},${second.url}`);
    const filled = async (): Promise<boolean> => {
      await Promise.all(hashes.map((hash) => cache.fillKey(hash, { version: 7, value: key })));
      const read = await Promise.all(hashes.map((hash) => cache.readKey(hash)));
      return read.every((record) => record?.version === 7);
    };
    await until(filled);
    await second.stop();
    expect(await filled()).toBe(false);
    await second.start();
    await until(filled);
  });
});

describe('Sentinel', () => {
  test('names the master, and the new one after it has gone', async () => {
    const master = await server();
    const replica = await server({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
    await master.command('SET', 'seen', 'by the replica');
    await master.command('WAIT', 1, 0);
    const sentinel = await server({
      sentinel: [
        `sentinel monitor main 127.0.0.1 ${master.port} 1`,
        'sentinel down-after-milliseconds main 300',
        'sentinel failover-timeout main 3000',
      ],
    });
    await until(async () => {
      const replicas = await sentinel.command('SENTINEL', 'REPLICAS', 'main');
      return Array.isArray(replicas) && replicas.length === 1;
    });
    const place = `redis+sentinel://127.0.0.1:${sentinel.port}/main`;
    const opened = open(place);
    await opened.watched.next(isUp);
    await worksIn(opened);
    expect(Number(await master.command('DBSIZE'))).toBeGreaterThan(1);

    const { redis } = openLasting(place);
    const writes = async (value: string) =>
      (await redis.ask((client) => client.set('a', value))) === 'OK';
    await until(() => writes('1'));
    await master.stop();
    await until(() => writes('2'));
    await until(async () => (await replica.command('GET', 'a')) === '2');
  });

  test('one that knows no such master is named in the log, with what to check', async () => {
    const sentinel = await server({ sentinel: [] });
    const { watched } = open(`redis+sentinel://127.0.0.1:${sentinel.port}/main`);
    const line = await watched.next(isDown);
    expect(line).toContain('no Sentinel names the master');
    expect(line).toContain('check the Sentinels');
  });

  test('one that asks for the same password gets it where the setting says so', async () => {
    const master = await server({ args: ['--requirepass', 'sesame'] });
    const sentinel = await server({
      args: ['--requirepass', 'sesame'],
      sentinel: [
        `sentinel monitor main 127.0.0.1 ${master.port} 1`,
        'sentinel auth-pass main sesame',
      ],
    });
    const place = `redis+sentinel://:sesame@127.0.0.1:${sentinel.port}/main`;
    const refused = open(place);
    expect(await refused.watched.next(isDown)).toContain('"cause":"NOAUTH"');
    const opened = open(`${place}?sentinel_auth=true`);
    await opened.watched.next(isUp);
    expect(await opened.redis.ask((client) => client.set('a', '1'))).toBe('OK');
  });
});

test('a Redis that is far away is late each time, and its connection is kept', async () => {
  const far = await server();
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: far.port });
  closing.push(proxy.close);
  proxy.delay(60);
  const watched = watchLog();
  const url = `redis://127.0.0.1:${proxy.port}`;
  const redis = openRedis({ url, keyPrefix: '', clock: systemClock, log: watched.log });
  closing.push(redis.close);
  await watched.next(isDown);
  await watched.next(isDown);
  expect(redis.state()).toBe('down');
  expect(proxy.accepted).toBe(1);
  proxy.delay(0);
  await watched.next(isUp);
});

/**
 * For what only the server itself knows, and tells nobody: asks it until it says so. A server whose
 * role changes ends the connections that it has; that is no answer.
 */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
