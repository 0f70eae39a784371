/** What a gateway says of its own state: gauges for Prometheus, a status for the admin API. */
import type { AdminStatus } from './admin/admin.ts';
import type { KeyCache } from './auth/auth.ts';
import { type Config, redisInUse } from './config/config.ts';
import type { Budget } from './core/budget.ts';
import type { Clock } from './core/clock.ts';
import { isoTime } from './core/iso-time.ts';
import type { GatewayKeys } from './gateway-keys.ts';
import { type Observability, ownVersion } from './observability/observability.ts';
import type { Queue } from './queue/queue.ts';

export type GatewayRooms = {
  readonly config: Config;
  readonly clock: Clock;
  readonly observability: Observability;
  readonly budget: Budget;
  /** Undefined where nothing is queued. */
  readonly queue: Queue | undefined;
  /** Undefined until the store is open. */
  readonly keys: () => GatewayKeys | undefined;
};

export function addGauges({ config, observability, budget, queue, keys }: GatewayRooms): void {
  const { metrics } = observability;
  metrics.gauge(
    'mibo_gateway_in_flight_bytes',
    'Bytes of requests and of the memory queue that are held in memory.',
    () => budget.usedBytes,
  );
  if (queue !== undefined) {
    metrics.gauge(
      'mibo_gateway_queue_items',
      'Spans that wait in the sending queue.',
      () => queue.depth().items,
    );
  }
  if (config.auth.mode !== 'keys') return;
  if (config.auth.store.kind === 'postgres') addCacheGauges(metrics, () => keys()?.cache);
  if (redisInUse(config) === undefined) return;
  metrics.gauge('mibo_gateway_redis_up', 'Whether Redis answers in time: 1 or 0.', () =>
    Number(keys()?.redis?.state() === 'up'),
  );
}

function addCacheGauges(
  metrics: Observability['metrics'],
  cache: () => KeyCache | undefined,
): void {
  metrics.gauge(
    'mibo_gateway_key_cache_fence_open',
    'Whether keys in memory are fresh enough to be used: 1 or 0.',
    () => Number(cache()?.state().fence === 'open'),
  );
  metrics.gauge(
    'mibo_gateway_key_cache_feed_age_seconds',
    'How long ago all changes of keys were known.',
    () => (cache()?.state().lastPollAgeMs ?? Number.POSITIVE_INFINITY) / 1000,
  );
  metrics.gauge(
    'mibo_gateway_key_cache_keys',
    'Known keys in memory.',
    () => cache()?.state().keys ?? 0,
  );
  metrics.counts(
    'mibo_gateway_key_lookups_total',
    'Checks of keys, two for each request, by where the answer came from.',
    { label: 'source', read: () => lookupsOf(cache()) },
  );
}

/** The values are those of the label `source`. */
function lookupsOf(cache: KeyCache | undefined): Readonly<Record<string, number>> {
  const counters = cache?.counters();
  return {
    memory: counters?.hits ?? 0,
    redis: counters?.sharedHits ?? 0,
    store: counters?.storeReads ?? 0,
    stale: counters?.staleServed ?? 0,
    refused: counters?.refusedBySemaphore ?? 0,
  };
}

export function createStatus(rooms: GatewayRooms): () => Promise<AdminStatus> {
  const { config, clock, observability, budget, queue, keys } = rooms;
  const { mode, store } = config.auth;
  const startedAtMs = clock.monotonicMs();
  const started = {
    version: ownVersion(),
    started_at: isoTime(clock.wallMs()),
  };
  return async () => ({
    ...started,
    uptime_seconds: (clock.monotonicMs() - startedAtMs) / 1000,
    auth: { mode, store: mode === 'keys' ? store.kind : null },
    key_cache: cacheStatus(keys()?.cache),
    redis: keys()?.redis?.state() ?? null,
    delivery: { mode: config.delivery.mode },
    queue: queue === undefined ? null : queueStatus(queue),
    in_flight: { bytes: budget.usedBytes, bytes_max: budget.bytesMax },
    ...(await observability.metrics.totals()),
  });
}

function queueStatus(queue: Queue): AdminStatus['queue'] {
  const { items, bytes } = queue.depth();
  return { items, bytes };
}

function cacheStatus(cache: KeyCache | undefined): AdminStatus['key_cache'] {
  if (cache === undefined) return null;
  const { fence, version, keys, unknownKeys, projects, lastPollAgeMs } = cache.state();
  return {
    fence,
    version,
    keys,
    unknown_keys: unknownKeys,
    projects,
    feed_age_seconds: lastPollAgeMs === undefined ? null : lastPollAgeMs / 1000,
  };
}
