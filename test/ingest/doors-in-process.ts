/**
 * Receivers, authentication, limits, routing and ingest together, in this process, with keys in
 * memory and a downstream that takes everything. The limits' time is the test's own.
 */
import { createAuth, createKeyLimits, type Grant, type LimitStore } from '../../src/auth/auth.ts';
import { generateKey, hashKey } from '../../src/auth/key-format.ts';
import { createBudget } from '../../src/core/budget.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Delivery } from '../../src/core/delivery.ts';
import { createIngest } from '../../src/ingest.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createReceiver, type ReceiverOptions } from '../../src/receiver/receiver.ts';
import { createRouting } from '../../src/routing/routing.ts';
import { createManualClock, type ManualClock } from '../auth/manual-clock.ts';

export const agentId = 'a1b2c3d4-0000-4000-8000-000000000001';

export type Doors = {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Of two keys, each for the one agent. */
  readonly keys: readonly [string, string];
  /** The clock of keys and limits. */
  readonly clock: ManualClock;
  readonly delivered: readonly Delivery[];
  /** Whether each lookup so far was marked as suspect, in order. */
  readonly suspects: readonly boolean[];
  /** What the log says. */
  readonly lines: readonly Record<string, unknown>[];
  metrics(): Promise<string>;
  stop(): Promise<void>;
};

export type DoorsOptions = {
  readonly requestsPerSecond?: number;
  readonly spansPerSecond?: number;
  readonly bytesPerSecond?: number;
  readonly shared?: LimitStore;
  readonly unknownKeyFailuresPerMinute?: number;
  readonly trustedProxies?: readonly string[];
};

export async function openDoors(options: DoorsOptions): Promise<Doors> {
  const clock = createManualClock();
  const lines: Record<string, unknown>[] = [];
  const observability = createObservability({
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const keys = [generateKey(), generateKey()] as const;
  const grants = new Map(keys.map((key, index) => [hashKey(key), grantOf(`key_${index}`)]));
  const suspects: boolean[] = [];
  const delivered: Delivery[] = [];
  const ingest = createIngest({
    auth: createAuth({
      lookup(hash, { suspect = false } = {}) {
        suspects.push(suspect);
        return grants.get(hash);
      },
      store: { recordUsage: async () => {}, close: async () => {} },
      clock,
      observability,
      apiKeyHeader: 'x-api-key',
      unknownKeyFailuresPerMinute: options.unknownKeyFailuresPerMinute ?? 0,
    }),
    limits: createKeyLimits({
      limits: {
        requestsPerSecond: options.requestsPerSecond ?? 0,
        spansPerSecond: options.spansPerSecond ?? 0,
        bytesPerSecond: options.bytesPerSecond ?? 0,
      },
      shared: options.shared,
      clock,
    }),
    routing: createRouting({
      attribute: 'mibo.platform_id',
      header: 'x-mibo-platform-id',
      onScopeConflict: 'use_scope',
    }),
    attribute: 'mibo.platform_id',
    async deliver(deliveries) {
      delivered.push(...deliveries);
      return deliveries.map(() => ({ kind: 'accepted', rejectedItems: 0, message: '' }));
    },
    async relay(delivery) {
      delivered.push(delivery);
      return { status: 201, contentType: 'application/json', body: Buffer.from('{}') };
    },
    wallMs: clock.wallMs,
    observability,
  });
  const receiver = createReceiver({
    ...receiverOptions,
    trustedProxies: options.trustedProxies ?? [],
    budget: createBudget(256 * mebibyte, systemClock),
    observability,
    ingest,
  });
  return {
    ...(await receiver.start()),
    keys,
    clock,
    delivered,
    suspects,
    lines,
    metrics: () => observability.metrics.text(),
    stop: () => receiver.stop(2000),
  };
}

const mebibyte = 1024 * 1024;
const at = { host: '127.0.0.1', port: 0 };

const receiverOptions: Omit<
  ReceiverOptions,
  'trustedProxies' | 'budget' | 'observability' | 'ingest'
> = {
  grpc: {
    ...at,
    messageBytesMax: 64 * mebibyte,
    concurrentStreamsMax: 256,
    keepalive: {
      connectionAgeMaxMs: 180_000,
      connectionAgeGraceMs: 60_000,
      timeMs: 120_000,
      timeoutMs: 20_000,
    },
  },
  http: {
    ...at,
    bodyBytesMax: 64 * mebibyte,
    readHeaderTimeoutMs: 10_000,
    readTimeoutMs: 60_000,
  },
  tracesApi: { enabled: true, path: '/public/traces', bodyBytesMax: 10 * mebibyte },
  apiKeyHeader: 'x-api-key',
  platformHeader: 'x-mibo-platform-id',
  admissionWaitMs: 1000,
  requestDeadlineMs: 9000,
  clock: systemClock,
};

function grantOf(keyId: string): Grant {
  return {
    tenant: {
      projectId: 'prj_1',
      keyId,
      keyName: keyId,
      scope: 'agents',
      agents: new Map([[agentId, 'Support']]),
    },
    expiresAtMs: undefined,
  };
}
