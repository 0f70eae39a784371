/**
 * A client of the library, for one life of one connection: it neither reconnects nor repeats nor
 * keeps commands for later by itself. `redis-link.ts` does that, by the clock that it is handed,
 * in one place for a single server, Sentinel and Cluster alike.
 *
 * RESP2, since it is what every server and every proxy before one speaks, and nothing here needs
 * more.
 */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, getCACertificates } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisTarget } from '../core/redis-url.ts';

export type RedisClient = Redis | Cluster;

const connectTimeoutMs = 2_000;
/** How long a connection that we end has for its goodbye; a command line waits for it. */
const disconnectTimeoutMs = 100;

export function createRedisClient(target: RedisTarget): RedisClient {
  if (target.kind !== 'cluster') return new Redis(serverOptions(target));
  return new Cluster([...target.addresses], {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: null,
    // 0: hand the fault on. Whoever waits has the store to ask, long before a retry helps.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: connectTimeoutMs,
    // A certificate names the node's host, not its address.
    dnsLookup: (host, done) => done(null, host),
    redisOptions: nodeOptions(target),
  });
}

/**
 * A connection for subscriptions. In a Cluster every node hears every message, so one node does;
 * `attempt` goes round them.
 */
export function createRedisSubscriber(target: RedisTarget, attempt: number): Redis {
  if (target.kind !== 'cluster') return new Redis(serverOptions(target));
  const { addresses } = target;
  const address = addresses[attempt % addresses.length] ?? addresses[0];
  return new Redis({ ...serverOptions(target), ...address });
}

function serverOptions(target: RedisTarget) {
  const [{ host, port }] = target.addresses;
  return {
    ...nodeOptions(target),
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: null,
    ...(target.kind === 'sentinel' ? sentinelOptions(target) : { host, port }),
  } satisfies RedisOptions;
}

function nodeOptions(target: RedisTarget) {
  const { username, password } = target;
  return {
    protocol: 2,
    db: target.db,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(target.tls ? { tls: tlsOptions(target) } : {}),
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: disconnectTimeoutMs,
    // The link asks for itself whether the server is ready; the library would print warnings.
    enableReadyCheck: false,
    disableClientInfo: true,
  } as const satisfies RedisOptions;
}

function sentinelOptions(target: RedisTarget) {
  const { addresses, username, password, masterName, tls } = target;
  return {
    sentinels: addresses.map((address) => ({ ...address })),
    name: masterName,
    sentinelRetryStrategy: () => null,
    sentinelCommandTimeout: connectTimeoutMs,
    // Only this check finds out that the Sentinels' master has become a replica meanwhile.
    enableReadyCheck: true,
    ...(target.sentinelAuth && username !== undefined ? { sentinelUsername: username } : {}),
    ...(target.sentinelAuth && password !== undefined ? { sentinelPassword: password } : {}),
    ...(tls ? { sentinelTLS: tlsOptions(target), enableTLSForSentinelMode: true } : {}),
  } satisfies RedisOptions;
}

/** The authorities of Node.js and of the system, or the one that was named. */
function tlsOptions({ caFile }: RedisTarget): ConnectionOptions {
  if (caFile !== undefined) return { ca: readFileSync(caFile) };
  usualAuthorities ??= [...getCACertificates('default'), ...getCACertificates('system')];
  return { ca: usualAuthorities };
}

let usualAuthorities: string[] | undefined;
