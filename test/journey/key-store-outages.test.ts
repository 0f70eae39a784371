/**
 * When the key store is away: 503 with a time to come again, never a 401; it works by itself once
 * the store is back, and what clients sent meanwhile is not lost. With `stale_if_error`, keys that
 * are known go on working for as long as it says, and no longer than they live.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { expectNone, expectStatuses, named } from '../harness/expect-answers.ts';
import { getText } from '../harness/http-client.ts';
import { nowMs, startTraffic, type Traffic } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const unknown = 'mibo_unknown000000000000000000000000000';
const leaseMs = 1000;
/** Between the clock of the test, which is never set, and those of the gateways. */
const clockSlackMs = 100;

let cluster: Cluster;
let first: Member;
let good: string;
let traffic: Traffic | undefined;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 2 });
  first = cluster.members[0] as Member;
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  good = await newKey();
});

afterAll(() => cluster?.close());

afterEach(async () => {
  await traffic?.stop();
  traffic = undefined;
});

async function newKey(expiresAtMs?: number): Promise<string> {
  const { key } = await first.admin.createKey(project, {
    name: 'a key',
    agents: [support],
    ...(expiresAtMs === undefined ? {} : { expires_at: new Date(expiresAtMs).toISOString() }),
  });
  return key;
}

type Outage = { readonly name: string; begin(): Promise<void>; end(): Promise<void> };

const outages: readonly Outage[] = [
  {
    name: 'PostgreSQL is stopped, and Redis is up',
    begin: () => cluster.postgres.stop(),
    end: () => cluster.postgres.start(),
  },
  {
    name: 'PostgreSQL hangs, and Redis is up',
    begin: () => cluster.postgres.pause(),
    end: () => cluster.postgres.resume(),
  },
  {
    name: 'both are stopped',
    begin: () => each(cluster.postgres.stop(), cluster.redis.stop()),
    end: () => each(cluster.postgres.start(), cluster.redis.start()),
  },
  {
    name: 'both hang',
    begin: () => each(cluster.postgres.pause(), cluster.redis.pause()),
    end: () => each(cluster.postgres.resume(), cluster.redis.resume()),
  },
];

async function each(...done: readonly (Promise<void> | void)[]): Promise<void> {
  await Promise.all(done);
}

describe('503, never 401, and it works again by itself', () => {
  test.for(outages)('while $name', async (outage) => {
    const fresh = await newKey();
    const tried = startTraffic({ gateways: cluster.members, keys: { good, unknown } });
    traffic = tried;
    await tried.more(3);
    expectStatuses(tried.answers.filter(named('good')), 200);
    expectStatuses(tried.answers.filter(named('unknown')), 401);
    await outage.begin();
    // A key that these gateways have not seen, while their memory still counts, and after it.
    const running = startTraffic({ gateways: cluster.members, keys: { good, fresh, unknown } });
    await tried.stop();
    traffic = running;
    try {
      await running.untilLast('good', 503);
      const during = await running.more(3);
      expectStatuses(during, 503);
      for (const { retryMs } of during) {
        expect(retryMs).toBeGreaterThanOrEqual(1000);
        expect(retryMs).toBeLessThanOrEqual(3000);
      }
    } finally {
      await outage.end();
    }
    await running.untilLast('good', 200);
    await running.untilLast('fresh', 200);
    await running.untilLast('unknown', 401);
    const after = await running.more(5);
    expectStatuses(after.filter(named('good', 'fresh')), 200);
    expectStatuses(after.filter(named('unknown')), 401);
    expectNone(running.answers.filter(named('good', 'fresh')), 401, 0);
    expectNone(running.answers.filter(named('unknown')), 200, 0);
  });
});

describe('with stale_if_error', () => {
  const staleMs = 3000;

  test('known keys work for as long as it says, never past their end; then 503', async () => {
    const member = await cluster.join({ sets: [`auth.cache.stale_if_error=${staleMs}ms`] });
    const briefEndsAtMs = Math.ceil(nowMs()) + 3000;
    const keys = { good, brief: await newKey(briefEndsAtMs), fresh: await newKey() };
    const { fresh, ...known } = keys;
    const warm = startTraffic({ gateways: [member], keys: known });
    expectStatuses(await warm.more(3), 200);
    await warm.stop();
    await cluster.postgres.stop();
    const stoppedAtMs = nowMs();
    const running = startTraffic({ gateways: [member], keys });
    traffic = running;
    try {
      await running.until(() => nowMs() > stoppedAtMs + leaseMs + staleMs);
      const after = await running.more(3);
      expectStatuses(after.filter(named('good', 'fresh')), 503);
      expectNone(after, 200);
      const stale = running.answers.filter(
        ({ startedAtMs, answeredAtMs }) =>
          startedAtMs > stoppedAtMs + leaseMs && answeredAtMs < stoppedAtMs + staleMs,
      );
      expectStatuses(stale.filter(named('good')), 200);
      expectNone(stale.filter(named('fresh')), 401, 0);
      const ended = running.answers.filter(
        ({ startedAtMs }) => startedAtMs > briefEndsAtMs + clockSlackMs,
      );
      expectNone(ended.filter(named('brief')), 200, 0);
    } finally {
      await cluster.postgres.start();
    }
    await running.untilLast('good', 200);
    await running.untilLast('fresh', 200);
    expectNone(running.answers.filter(named('good', 'fresh')), 401, 0);
    await leave(member);
  });

  test('a gateway that is cut off accepts a revoked key no longer than that', async () => {
    const member = await cluster.join({ sets: [`auth.cache.stale_if_error=${staleMs}ms`] });
    const made = await first.admin.createKey(project, { name: 'cut off', agents: [support] });
    const running = startTraffic({ gateways: [member], keys: { revoked: made.key } });
    traffic = running;
    expectStatuses(await running.more(3), 200);
    member.toPostgres.cut();
    member.toRedis.cut();
    await cluster.operator.registry.revoke(made.id);
    // The commit was at least a lease ago.
    const returnedAtMs = nowMs();
    await running.until(() => nowMs() > returnedAtMs + staleMs);
    expectStatuses(await running.more(5), 503);
    await leave(member);
  });
});

async function leave(member: Member): Promise<void> {
  await traffic?.stop();
  traffic = undefined;
  member.process.signal('SIGKILL');
  await member.process.exited;
}

async function refusedForTheStore({ process }: Member): Promise<number> {
  const text = await getText(process.ports.metrics, '/metrics');
  const refused = text.matchAll(/^mibo_gateway_requests_total{.*store_unavailable.*} (\d+)$/gm);
  return [...refused].reduce((sum, [, count]) => sum + Number(count), 0);
}

test('an OpenTelemetry SDK loses no span across an outage', async () => {
  cluster.sink.received.length = 0;
  const exporter = new OTLPTraceExporter({
    url: `http://127.0.0.1:${first.process.ports.http}/v1/traces`,
    headers: { 'x-api-key': good },
  });
  const processor = new BatchSpanProcessor({
    exporter,
    scheduledDelayMillis: 100,
    maxExportBatchSize: 5,
  });
  const provider = new TracerProvider({ spanProcessors: [processor] });
  const tracer = provider.getTracer('outage');
  const ids: string[] = [];
  const work = (count: number) => {
    for (let index = 0; index < count; index += 1) {
      const span = tracer.startSpan(`step ${ids.length}`);
      span.end();
      ids.push(span.spanContext().spanId);
    }
  };
  work(7);
  await cluster.sink.until(() => cluster.sink.acceptedSpanIds().length === ids.length);
  await cluster.postgres.stop();
  const refusedBefore = await refusedForTheStore(first);
  const working = setInterval(() => work(1), 20);
  try {
    // The SDK was refused, and has begun to try again.
    while ((await refusedForTheStore(first)) === refusedBefore);
  } finally {
    clearInterval(working);
    await cluster.postgres.start();
  }
  work(7);
  await provider.forceFlush();
  await provider.shutdown();
  expect(cluster.sink.acceptedSpanIds().sort()).toEqual(ids.sort());
});
