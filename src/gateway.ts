/**
 * The wiring: builds each room once, in the order of the journey. A table of contents.
 *
 * Start: health → store and key cache → queue → forwarder → admin → receivers → ready. Stop, front
 * to back: not ready → receivers and admin finish what they are reading → last used is written,
 * cache and store close → health closes. The forwarder drains from the first moment, beside all of
 * them: whatever hangs, it takes no time away from what was accepted.
 */
import type { Admin } from './admin/admin.ts';
import type { Config } from './config/config.ts';
import { type Budget, createBudget } from './core/budget.ts';
import { type Clock, systemClock } from './core/clock.ts';
import type { Deliver } from './core/delivery.ts';
import { createForwarder, type Forwarder } from './forwarder/forwarder.ts';
import { type GatewayKeys, openKeys } from './gateway-keys.ts';
import { addGauges, createStatus, type GatewayRooms } from './gateway-state.ts';
import { createIngest } from './ingest.ts';
import {
  createHealth,
  createObservability,
  type Observability,
} from './observability/observability.ts';
import { createMemoryQueue, type Queue } from './queue/queue.ts';
import { createReceiver, type Receiver } from './receiver/receiver.ts';
import { createRouting } from './routing/routing.ts';

const mebibyte = 1024 * 1024;
/** For a store that hangs: last-used dates are not worth more of a stop. */
const closeMsMax = 2_000;

export type GatewayOptions = {
  readonly config: Config;
  readonly clock?: Clock;
  readonly observability?: Observability;
};

export type Gateway = {
  /** Opens every listener; resolves with the ports in use once the gateway is ready. */
  start(): Promise<GatewayPorts>;
  /** Drains for up to `shutdown_timeout`, then closes. */
  stop(): Promise<void>;
};

export type GatewayPorts = {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly healthPort: number;
  readonly metricsPort: number;
  /** Undefined where it is switched off. */
  readonly adminPort: number | undefined;
};

/** What the rooms share. */
type Base = {
  readonly config: Config;
  readonly clock: Clock;
  readonly observability: Observability;
  readonly budget: Budget;
};

export function createGateway(options: GatewayOptions): Gateway {
  const { config, clock = systemClock } = options;
  const { level } = config.telemetry.logs;
  const observability = options.observability ?? createObservability({ level });
  const budget = createBudget(config.limits.in_flight_mib * mebibyte, clock);
  const base: Base = { config, clock, observability, budget };

  const queue =
    config.delivery.mode === 'memory' ? createMemoryQueue({ budget, clock }) : undefined;
  const forwarder = buildForwarder(base);
  let state: 'starting' | 'ready' | 'stopping' = 'starting';
  const health = buildHealth(base, () => (state === 'ready' ? undefined : state));
  let keys: GatewayKeys | undefined;
  let receiver: Receiver | undefined;
  let admin: Admin | undefined;
  const rooms: GatewayRooms = { ...base, queue, keys: () => keys };
  addGauges(rooms);

  async function start(): Promise<GatewayPorts> {
    // First, so that it is seen to live while it waits for its store.
    const healthPorts = await health.start();
    keys = await openKeys(base);
    const ingest = createIngest({
      auth: keys.auth,
      limits: keys.limits,
      routing: createRouting({
        attribute: config.routing.attribute,
        header: config.routing.header,
        onScopeConflict: config.routing.on_scope_conflict,
      }),
      attribute: config.routing.attribute,
      deliver: queue === undefined ? forwarder.deliverNow : appendTo(queue),
      relay: forwarder.relay,
      wallMs: () => clock.wallMs(),
      observability,
    });
    if (queue !== undefined) forwarder.run(queue);
    receiver = createReceiver(receiverOptions(base, ingest));
    admin = await buildAdmin(rooms);
    const { adminPort } = (await admin?.start()) ?? {};
    const ports = { ...healthPorts, adminPort, ...(await receiver.start()) };
    state = 'ready';
    return ports;
  }

  async function stop(): Promise<void> {
    state = 'stopping';
    const deadlineAtMs = clock.monotonicMs() + config.shutdown_timeout;
    const leftMs = () => Math.max(0, deadlineAtMs - clock.monotonicMs());
    forwarder.hurry();
    await Promise.all([receiver?.stop(leftMs()), admin?.stop(leftMs())]);
    const closeMs = Math.min(leftMs(), closeMsMax);
    await Promise.all([forwarder.stop(leftMs()), keys?.auth.close(closeMs)]);
    await queue?.close();
    await health.stop();
  }

  return {
    async start() {
      try {
        return await start();
      } catch (fault) {
        await stop();
        throw fault;
      }
    },
    stop,
  };
}

function buildForwarder({ config, clock, observability }: Base): Forwarder {
  const { downstream, delivery } = config;
  const retry = delivery.retry_on_failure;
  return createForwarder({
    downstream: {
      endpoint: downstream.endpoint,
      tracesPath: downstream.traces_path,
      tracesApiPath: downstream.traces_api_path,
      encoding: downstream.encoding,
      compression: downstream.compression,
      headers: downstream.headers,
      timeoutMs: downstream.timeout,
      connections: downstream.connections,
    },
    retry: {
      initialIntervalMs: retry.initial_interval,
      maxIntervalMs: retry.max_interval,
      multiplier: retry.multiplier,
      randomizationFactor: retry.randomization_factor,
      maxElapsedTimeMs: retry.max_elapsed_time,
    },
    batchBytesMax: delivery.batch.max_size_mib * mebibyte,
    clock,
    observability,
  });
}

/** Memory mode: accepted once it is in the queue, all deliveries of a request or none. */
function appendTo(queue: Queue): Deliver {
  return async (deliveries) => {
    await queue.append(deliveries);
    return deliveries.map(() => ({ kind: 'accepted', rejectedItems: 0, message: '' }));
  };
}

function receiverOptions(
  { config, clock, observability, budget }: Base,
  ingest: ReturnType<typeof createIngest>,
): Parameters<typeof createReceiver>[0] {
  const { grpc, http } = config.receivers.otlp.protocols;
  const { traces_api: tracesApi } = config.receivers;
  return {
    grpc: {
      ...grpc.endpoint,
      messageBytesMax: grpc.max_recv_msg_size_mib * mebibyte,
      concurrentStreamsMax: grpc.max_concurrent_streams,
      keepalive: {
        connectionAgeMaxMs: grpc.keepalive.max_connection_age,
        connectionAgeGraceMs: grpc.keepalive.max_connection_age_grace,
        timeMs: grpc.keepalive.time,
        timeoutMs: grpc.keepalive.timeout,
      },
    },
    http: {
      ...http.endpoint,
      bodyBytesMax: http.max_request_body_size_mib * mebibyte,
      readHeaderTimeoutMs: http.read_header_timeout,
      readTimeoutMs: http.read_timeout,
    },
    tracesApi: {
      enabled: tracesApi.enabled,
      path: tracesApi.path,
      bodyBytesMax: tracesApi.max_request_body_size_mib * mebibyte,
    },
    apiKeyHeader: config.auth.header,
    platformHeader: config.routing.header,
    budget,
    admissionWaitMs: config.limits.admission_wait,
    requestDeadlineMs: config.limits.request_deadline,
    trustedProxies: config.limits.trusted_proxies,
    clock,
    observability,
    ingest,
  };
}

/** Loaded only where it listens: the memory of a sidecar counts. */
async function buildAdmin(rooms: GatewayRooms): Promise<Admin | undefined> {
  const { config, clock, observability, keys } = rooms;
  const { endpoint, token } = config.admin;
  if (endpoint === null) return undefined;
  const { createAdmin } = await import('./admin/admin.ts');
  return createAdmin({
    endpoint,
    token,
    store: keys()?.store,
    rejections: observability.rejections,
    status: createStatus(rooms),
    log: observability.log,
    clock,
  });
}

function buildHealth({ config, observability }: Base, failing: () => string | undefined) {
  return createHealth({
    health: config.telemetry.health.endpoint,
    metricsAt: config.telemetry.metrics.endpoint,
    metrics: observability.metrics,
    checks: [{ name: 'gateway', failing }],
  });
}
