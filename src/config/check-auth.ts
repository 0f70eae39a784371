/** What must hold between the settings of keys, their store, its caches and the admin API. */
import { isLoopback } from '../core/loopback.ts';
import { isPostgresUrl } from '../core/postgres-url.ts';
import { checkRedisUrl } from '../core/redis-url.ts';
import type { JointProblem } from './check.ts';
import { formatEndpoint } from './notation.ts';
import { presetTree } from './presets.ts';
import type { ConfigProblem } from './problems.ts';
import type { Config } from './schema.ts';
import { maskUrl } from './text-kinds.ts';
import { valueAt } from './tree.ts';

export function authFits(config: Config): JointProblem[] {
  return [...storeUrlFits(config), ...redisUrlFits(config), ...adminIsGuarded(config)];
}

/** Looked at where it is used only: another program's DATABASE_URL may be anything. */
function storeUrlFits({ auth }: Config): JointProblem[] {
  const { kind, url } = auth.store;
  if (auth.mode !== 'keys' || kind !== 'postgres') return [];
  const path = 'auth.store.url';
  const expected = 'the URL of a database, such as postgres://user:password@host:5432/name';
  if (url === '') {
    const hint = 'set it, or the environment variable DATABASE_URL';
    return [{ path, against: 'auth.store.kind', value: '', expected, hint }];
  }
  if (isPostgresUrl(url)) return [];
  const hint = 'in user and password, write @ as %40, / as %2F, # as %23, ? as %3F';
  return [{ path, against: 'auth.store.kind', value: maskUrl(url), expected, hint }];
}

/**
 * Somebody who writes a URL means PostgreSQL: a file in its place would hold their keys where no
 * other gateway sees them. The default's own reference to the environment is no such wish.
 */
export function storeUrlIsUsed({ auth }: Config, written: unknown): ConfigProblem[] {
  const { kind, url } = auth.store;
  if (auth.mode !== 'keys' || kind === 'postgres' || url === '') return [];
  const urlPath = ['auth', 'store', 'url'];
  if (valueAt(written, urlPath) === valueAt(presetTree, urlPath)) return [];
  const hint = 'set auth.store.kind to postgres, or leave auth.store.url out';
  const expected = 'postgres, since auth.store.url is set';
  return [{ path: 'auth.store.kind', value: kind, expected, hint }];
}

function redisUrlFits(config: Config): JointProblem[] {
  const url = redisInUse(config)?.url;
  const hint = url === undefined ? undefined : checkRedisUrl(url);
  if (hint === undefined) return [];
  return [
    {
      path: 'auth.redis.url',
      value: maskUrl(url),
      expected: 'the URL of Redis, such as redis://user:password@host:6379, or empty for none',
      hint,
    },
  ];
}

export type RedisSettings = {
  readonly url: string;
  readonly keyPrefix: string;
  readonly recordTtlMs: number;
};

/** Undefined where Redis has nothing to do: SQLite needs no cache before it. */
export function redisInUse({ auth, limits }: Config): RedisSettings | undefined {
  const { url, key_prefix: keyPrefix } = auth.redis;
  if (auth.mode !== 'keys' || url === '') return undefined;
  const isLimited = Object.values(limits.per_key).some((rate) => rate > 0);
  if (auth.store.kind !== 'postgres' && !isLimited) return undefined;
  return { url, keyPrefix, recordTtlMs: auth.cache.ttl };
}

/** Whoever reaches the API can make keys. */
function adminIsGuarded({ admin }: Config): JointProblem[] {
  const { endpoint, token } = admin;
  if (endpoint === null || token !== '' || isLoopback(endpoint.host)) return [];
  return [
    {
      path: 'admin.token',
      against: 'admin.endpoint',
      value: '',
      expected: `a token, since admin.endpoint (${formatEndpoint(endpoint)}) is open to others`,
      hint: 'set the environment variable MIBO_ADMIN_TOKEN, or admin.endpoint to 127.0.0.1:8080',
    },
  ];
}
