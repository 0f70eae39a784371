/** A real receiver on free ports, with a small ingest in memory, and what the tests look at. */
import { type Budget, createBudget } from '../../src/core/budget.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type {
  ExportResult,
  IncomingBody,
  IncomingRequest,
  Ingest,
  TracesApiResult,
} from '../../src/core/incoming.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createReceiver, type ReceiverOptions } from '../../src/receiver/receiver.ts';

export const mebibyte = 1024 * 1024;
export const goodKey = 'mibo_good0000000000000000000000000000000000';

export type Received = { readonly request: IncomingRequest; readonly body: IncomingBody };

export type UnderTest = {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly budget: Budget;
  /** Requests whose key and body were accepted, in order. */
  readonly received: Received[];
  /** The log lines of refusals, in order. */
  readonly refusals: { kind: string; protocol: string; peer: string; key_id?: string }[];
  metrics(): Promise<string>;
  stop(graceMs?: number): Promise<void>;
};

export type Setup = {
  readonly http?: Partial<ReceiverOptions['http']>;
  readonly grpc?: Partial<ReceiverOptions['grpc']>;
  readonly keepalive?: Partial<ReceiverOptions['grpc']['keepalive']>;
  readonly tracesApi?: Partial<ReceiverOptions['tracesApi']>;
  readonly bytesMax?: number;
  readonly admissionWaitMs?: number;
  readonly requestDeadlineMs?: number;
  readonly trustedProxies?: readonly string[];
  readonly clock?: Clock;
  /** Runs before the key is checked. */
  readonly beforeKey?: (request: IncomingRequest) => Promise<void>;
  /** Decides what becomes of a request that was read; full success by default. */
  readonly settle?: (received: Received) => Promise<ExportResult> | ExportResult;
  readonly relay?: (received: Received) => Promise<TracesApiResult> | TracesApiResult;
};

export const fullSuccess: ExportResult = { rejectedItems: 0, message: '' };

function ingestOf(setup: Setup, received: Received[]): Ingest {
  async function admit(request: IncomingRequest): Promise<Received> {
    await setup.beforeKey?.(request);
    if (request.credentials.apiKey.length === 0) {
      throw new GatewayError('missing_api_key', 'send the key in the x-api-key header');
    }
    if (request.credentials.apiKey.join() !== goodKey) {
      throw new GatewayError('invalid_api_key', 'use a key that exists');
    }
    try {
      const entry = { request, body: await request.readBody() };
      received.push(entry);
      return entry;
    } catch (thrown) {
      const error = GatewayError.from(thrown);
      error.keyId = 'key_1';
      throw error;
    }
  }
  return {
    async exportRequest(request) {
      const entry = await admit(request);
      return (await setup.settle?.(entry)) ?? fullSuccess;
    },
    async tracesApi(request) {
      const entry = await admit(request);
      const answer = await setup.relay?.(entry);
      return answer ?? { kind: 'export', encoding: entry.body.encoding, result: fullSuccess };
    },
  };
}

function optionsOf(setup: Setup): Omit<ReceiverOptions, 'budget' | 'observability' | 'ingest'> {
  const at = { host: '127.0.0.1', port: 0 };
  return {
    grpc: {
      ...at,
      messageBytesMax: 64 * mebibyte,
      concurrentStreamsMax: 256,
      ...setup.grpc,
      keepalive: {
        connectionAgeMaxMs: 180_000,
        connectionAgeGraceMs: 60_000,
        timeMs: 120_000,
        timeoutMs: 20_000,
        ...setup.keepalive,
      },
    },
    http: {
      ...at,
      bodyBytesMax: 64 * mebibyte,
      readHeaderTimeoutMs: 10_000,
      readTimeoutMs: 60_000,
      ...setup.http,
    },
    tracesApi: {
      enabled: true,
      path: '/public/traces',
      bodyBytesMax: 10 * mebibyte,
      ...setup.tracesApi,
    },
    apiKeyHeader: 'x-api-key',
    platformHeader: 'x-mibo-platform-id',
    admissionWaitMs: setup.admissionWaitMs ?? 1000,
    requestDeadlineMs: setup.requestDeadlineMs ?? 9000,
    trustedProxies: setup.trustedProxies ?? [],
    clock: setup.clock ?? systemClock,
  };
}

export async function startReceiver(setup: Setup = {}): Promise<UnderTest> {
  const received: Received[] = [];
  const refusals: UnderTest['refusals'] = [];
  const observability = createObservability({
    level: 'warn',
    destination: { write: (line) => refusals.push(JSON.parse(line)) },
  });
  const options = optionsOf(setup);
  const budget = createBudget(setup.bytesMax ?? 256 * mebibyte, options.clock);
  const ingest = ingestOf(setup, received);
  const receiver = createReceiver({ ...options, budget, observability, ingest });
  const ports = await receiver.start();
  return {
    ...ports,
    budget,
    received,
    refusals,
    metrics: () => observability.metrics.text(),
    stop: (graceMs = 2000) => receiver.stop(graceMs),
  };
}

/** A promise that the test resolves. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** A `settle` that keeps requests until the test opens; `reached` resolves with the first one. */
export function holding() {
  const { opened, open } = gate();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  async function settle(): Promise<ExportResult> {
    resolve();
    await opened;
    return fullSuccess;
  }
  return { settle, reached, open };
}

/** Turns of the event loop until it holds; the test's own timeout ends a wait in vain. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
