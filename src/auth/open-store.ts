/**
 * Opens the registry that is configured: the one way for the gateway and for every command, so that
 * a change keeps its promises whoever makes it.
 *
 * What only one kind of store needs is loaded when that kind is opened: the memory of a sidecar
 * counts.
 */
import { resolve } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import type { KeySource } from './key-source.ts';
import type { LimitStore } from './limits.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { SharedCache } from './shared-cache.ts';
import type { Store } from './store.ts';

/** Where the registry is. */
export type StorePlace =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly url: string };

export type RedisPlace = {
  readonly url: string;
  readonly keyPrefix: string;
  /** How long the cache before PostgreSQL keeps a record. */
  readonly recordTtlMs: number;
};

export type OpenStoreOptions = {
  readonly place: StorePlace;
  /** Left out: none. Where the store is PostgreSQL, changes are announced through it. */
  readonly redis?: RedisPlace | undefined;
  readonly clock: Clock;
  readonly log?: Log;
  /** How long a server that does not answer yet is waited for; 0 by default. */
  readonly waitMs?: number;
};

export type OpenedStore = {
  readonly store: Store;
  /** For people: a path, or a server and a database, without a password. */
  readonly where: string;
  /** What a key cache reads from; undefined for SQLite, whose own lookup needs none. */
  readonly source: KeySource | undefined;
  readonly shared: SharedCache | undefined;
  readonly redis: RedisConnection | undefined;
  /** Where what each key sends is counted for all gateways. */
  readonly limits: LimitStore | undefined;
  /** Of the store and of Redis. */
  close(): Promise<void>;
};

/** Rejects with `GatewayError` (`store_unavailable`), whose hint says what to check. */
export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const { place } = options;
  const where = await whereIs(place);
  const redis = await redisOf(options);
  try {
    const opened =
      place.kind === 'sqlite'
        ? await openSqlite(options, place.path)
        : await openPostgres(options, place.url, redis);
    return {
      ...opened,
      where,
      redis,
      limits: await limitsIn(redis),
      async close() {
        redis?.close();
        await opened.store.close();
      },
    };
  } catch (fault) {
    redis?.close();
    throw fault;
  }
}

export type Migrated = {
  readonly where: string;
  /** The numbers of the steps that were missing. */
  readonly steps: readonly number[];
};

/** Makes the tables that are missing, and nothing else. */
export async function migrateStore({ place, ...options }: OpenStoreOptions): Promise<Migrated> {
  const where = await whereIs(place);
  if (place.kind === 'sqlite') {
    const { migrateSqliteFile } = await import('./sqlite-file.ts');
    return { where, steps: migrateSqliteFile(place.path, options.clock) };
  }
  const { migratePostgres } = await import('./postgres-migrate.ts');
  return { where, steps: await migratePostgres({ url: place.url, ...options }) };
}

async function whereIs(place: StorePlace): Promise<string> {
  if (place.kind === 'sqlite') return resolve(place.path);
  const { targetOf } = await import('./postgres-faults.ts');
  const { address, database } = targetOf(place.url);
  return `PostgreSQL at ${address}, database "${database}"`;
}

async function redisOf({ redis, ...options }: OpenStoreOptions) {
  if (redis === undefined) return undefined;
  const { openRedis } = await import('./redis-connection.ts');
  return openRedis({ ...redis, clock: options.clock, log: options.log });
}

type Opened = Pick<OpenedStore, 'store' | 'source' | 'shared'>;

async function openSqlite({ clock }: OpenStoreOptions, path: string): Promise<Opened> {
  const { openSqliteStore } = await import('./sqlite-store.ts');
  return { store: openSqliteStore({ path, clock }), source: undefined, shared: undefined };
}

async function openPostgres(
  options: OpenStoreOptions,
  url: string,
  redis: RedisConnection | undefined,
): Promise<Opened> {
  const { openPostgresStore } = await import('./postgres-store.ts');
  const shared = await sharedCache(options, redis);
  const announcer = shared === undefined ? {} : { announcer: shared };
  const store = await openPostgresStore({ ...options, ...announcer, url });
  return { store, source: store.source, shared };
}

async function sharedCache(
  { redis: place }: OpenStoreOptions,
  redis: RedisConnection | undefined,
): Promise<SharedCache | undefined> {
  if (place === undefined || redis === undefined) return undefined;
  const { createRedisCache } = await import('./redis-cache.ts');
  return createRedisCache({ redis, ttlMs: place.recordTtlMs });
}

async function limitsIn(redis: RedisConnection | undefined): Promise<LimitStore | undefined> {
  if (redis === undefined) return undefined;
  const { createRedisLimits } = await import('./redis-limits.ts');
  return createRedisLimits(redis);
}
