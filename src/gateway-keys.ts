/** Who may send, as configured: a store of keys with all that stands before it, or the next hop. */
import {
  type Auth,
  createAuth,
  createKeyCache,
  createKeyLimits,
  createPassthroughAuth,
  type KeyCache,
  type KeyLimits,
  type LimitStore,
  type OpenedStore,
  openStore,
  type Store,
} from './auth/auth.ts';
import { type Config, redisInUse } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Observability } from './observability/observability.ts';

export type GatewayKeys = {
  /** Closes all the rest, too. */
  readonly auth: Auth;
  readonly limits: KeyLimits | undefined;
  /** Undefined where the next hop keeps the keys. */
  readonly store: Store | undefined;
  readonly cache: KeyCache | undefined;
  readonly redis: OpenedStore['redis'];
};

type Base = {
  readonly config: Config;
  readonly clock: Clock;
  readonly observability: Observability;
};

export async function openKeys(base: Base): Promise<GatewayKeys> {
  return base.config.auth.mode === 'passthrough' ? passthroughKeys(base) : storedKeys(base);
}

function passthroughKeys(base: Base): GatewayKeys {
  const { header, passthrough } = base.config.auth;
  return {
    auth: createPassthroughAuth({
      apiKey: passthrough.api_key,
      platformId: passthrough.platform_id,
      onClientKey: passthrough.on_client_key,
      apiKeyHeader: header,
    }),
    // One key, as far as this gateway knows: the limits are those of the sidecar.
    limits: keyLimits(base),
    store: undefined,
    cache: undefined,
    redis: undefined,
  };
}

/** A store on the network may still be starting, as in a cluster that starts as a whole. */
const storeWaitMs = 30_000;

async function storedKeys(base: Base): Promise<GatewayKeys> {
  const { config, clock, observability } = base;
  const opened = await openStore({
    place: config.auth.store,
    redis: redisInUse(config),
    clock,
    log: observability.log,
    waitMs: storeWaitMs,
  });
  const { store, redis } = opened;
  const cache = await startCache(base, opened);
  return {
    auth: createAuth({
      lookup: cache?.lookup ?? store.lookup,
      store: {
        recordUsage: store.recordUsage,
        async close() {
          cache?.close();
          await opened.close();
        },
      },
      clock,
      observability,
      apiKeyHeader: config.auth.header,
      unknownKeyFailuresPerMinute: config.limits.unknown_key_failures_per_minute_per_ip,
    }),
    limits: keyLimits(base, opened.limits),
    store,
    cache,
    redis,
  };
}

/** Undefined where the store itself is quick enough. */
async function startCache(
  { config, clock, observability }: Base,
  { source, shared }: OpenedStore,
): Promise<KeyCache | undefined> {
  if (source === undefined) return undefined;
  const { max_keys, ttl, negative_ttl, lease, stale_if_error } = config.auth.cache;
  const cache = createKeyCache({
    source,
    shared,
    clock,
    log: observability.log,
    keysMax: max_keys,
    ttlMs: ttl,
    negativeTtlMs: negative_ttl,
    leaseMs: lease,
    staleIfErrorMs: stale_if_error,
  });
  await cache.start();
  return cache;
}

function keyLimits({ config, clock }: Base, shared?: LimitStore): KeyLimits | undefined {
  const { per_key: limits } = config.limits;
  return createKeyLimits({
    limits: {
      requestsPerSecond: limits.requests_per_second,
      spansPerSecond: limits.spans_per_second,
      bytesPerSecond: limits.bytes_per_second,
    },
    shared,
    clock,
  });
}
