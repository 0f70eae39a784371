/**
 * A 200 means what `delivery.mode` says: sync, the downstream has it; memory, it will get there
 * through blips and an orderly stop. Every accepted span is delivered, waiting or dropped, and the
 * counters say which.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Door, envelopeDoors, otlpDoors, sendExport } from '../harness/doors.ts';
import {
  countItems,
  createWorkspace,
  type GatewayProcess,
  readMetric,
  type Workspace,
} from '../harness/gateway-process.ts';
import { type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { getText, http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { registryOf } from '../harness/registry.ts';
import { acceptAll, exportOf, type Sink, startSink } from '../harness/sink.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const doors: readonly Door[] = [...otlpDoors, ...envelopeDoors];
const memory = [
  'delivery.mode=memory',
  'delivery.retry_on_failure.initial_interval=20ms',
  'delivery.retry_on_failure.max_interval=100ms',
];

let sink: Sink;
let workspace: Workspace;
let key: string;
const clients: GrpcClient[] = [];

beforeAll(async () => {
  workspace = createWorkspace({ downstream: 'http://127.0.0.1:9' });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  await registry.agent('Support', { id: sales, name: 'Sales bot' });
  key = (await registry.key('Support', { name: 'all' })).key;
});

afterAll(() => workspace.close());

beforeEach(async () => {
  sink = await startSink();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await workspace.stopAll();
  await sink.stop();
});

/** A gateway that delivers to this test's sink. */
function startGateway(...sets: readonly string[]): Promise<GatewayProcess> {
  return workspace.start(`downstream.endpoint=${sink.endpoint}`, ...sets);
}

/** Sends through one door after the other; resolves with the ids of what was accepted. */
function senderTo(gateway: GatewayProcess) {
  const grpc = grpcClient(gateway.ports.grpc);
  clients.push(grpc);
  const gate = { grpc, httpPort: gateway.ports.http };
  let sent = 0;
  return async (): Promise<{ status: number; ids: readonly string[] }> => {
    sent += 1;
    const body = makeExport(
      { platformId: support, spans: 1 + (sent % 3) },
      { platformId: sales, spans: 2 },
    );
    const door = doors[sent % doors.length] as Door;
    const { status } = await sendExport(gate, { door, body, headers: ['x-api-key', key] });
    return { status, ids: status === 200 ? body.spanIds.flat() : [] };
  };
}

/** A door that a test opens: what waits at it goes on then. */
function turnstile() {
  let open = (_: unknown): void => {};
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open(undefined) };
}

/** Deterministic: each test has the same weather on every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Ledger = { accepted: number; delivered: number; dropped: number; waiting: number };

async function ledgerOf(process: GatewayProcess): Promise<Ledger> {
  const [waiting = 0] = [...(await readMetric(process, 'mibo_gateway_queue_items')).values()];
  return {
    accepted: await countItems(process, 'accepted'),
    delivered: await countItems(process, 'delivered'),
    dropped: await countItems(process, 'dropped'),
    waiting,
  };
}

describe('sync', () => {
  test.for(doors)('%s: 200 comes after the downstream has said yes, not before', async (door) => {
    const process = await startGateway();
    const hold = turnstile();
    sink.answer = async (received) => {
      await hold.opened;
      return acceptAll(received);
    };
    const grpc = grpcClient(process.ports.grpc);
    clients.push(grpc);
    const body = makeExport({ platformId: support });
    let answered = false;
    const answer = sendExport(
      { grpc, httpPort: process.ports.http },
      { door, body, headers: ['x-api-key', key] },
    ).finally(() => {
      answered = true;
    });
    await sink.until(() => sink.received.length === 1);
    // A whole exchange on another listener: time enough for an early answer to show.
    await getText(process.ports.metrics, '/metrics');
    expect(answered).toBe(false);
    hold.open();
    expect((await answer).status).toBe(200);
    expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
  });

  test('one agent of two fails: the client is asked to send all again', async () => {
    const process = await startGateway();
    const send = senderTo(process);
    sink.answer = (received) =>
      received.headers['x-mibo-platform-id'] === sales ? { status: 503 } : acceptAll(received);
    expect((await send()).status).toBe(503);
  });

  test('a flapping downstream: whoever was told 200 has arrived', async () => {
    const process = await startGateway();
    const send = senderTo(process);
    const random = seeded(7);
    sink.answer = (received) => (random() < 0.5 ? { status: 503 } : acceptAll(received));
    const told: string[] = [];
    for (let round = 0; round < 100; round += 1) told.push(...(await send()).ids);
    expect(told.length).toBeGreaterThan(0);
    const arrived = new Set(sink.acceptedSpanIds());
    expect(told.filter((id) => !arrived.has(id))).toEqual([]);
  });
});

describe('memory', () => {
  test('a downstream that fails 7 times in 10: everything arrives', async () => {
    const process = await startGateway(...memory);
    const send = senderTo(process);
    const random = seeded(42);
    sink.answer = (received) => (random() < 0.7 ? { status: 503 } : acceptAll(received));
    const told: string[] = [];
    for (let round = 0; round < 30; round += 1) {
      const answers = await Promise.all(Array.from({ length: 10 }, send));
      for (const { status, ids } of answers) {
        expect(status).toBe(200);
        told.push(...ids);
      }
    }
    await sink.until(() => new Set(sink.acceptedSpanIds()).size >= told.length);
    expect([...new Set(sink.acceptedSpanIds())].sort()).toEqual([...told].sort());
    for (const delivery of sink.received) {
      const agent = delivery.headers['x-mibo-platform-id'];
      for (const { platformIds } of exportOf(delivery).resources) {
        expect(platformIds).toEqual([{ string: agent }]);
      }
    }
    await expectBalanced(process, told.length);
  });

  test('the downstream is away for a while: everything arrives when it is back', async () => {
    const process = await startGateway(...memory);
    const { port } = sink;
    await sink.stop();
    const send = senderTo(process);
    const told: string[] = [];
    for (let round = 0; round < 20; round += 1) told.push(...(await send()).ids);
    expect(told.length).toBeGreaterThan(0);
    const waiting = await ledgerOf(process);
    expect(waiting).toMatchObject({ accepted: told.length, delivered: 0, dropped: 0 });
    expect(waiting.waiting).toBe(told.length);
    sink = await startSink(port);
    await sink.until(() => new Set(sink.acceptedSpanIds()).size >= told.length);
    await expectBalanced(process, told.length);
  });

  test('the same bytes carry the same idempotency-key on every attempt', async () => {
    const process = await startGateway(...memory);
    let attempts = 0;
    sink.answer = (received) => {
      attempts += 1;
      return attempts < 4 ? { status: 503 } : acceptAll(received);
    };
    const body = makeExport({ platformId: support });
    const headers = ['Content-Type', 'application/x-protobuf', 'x-api-key', key];
    await http({ port: process.ports.http, headers, body: body.proto });
    await sink.until(() => sink.acceptedSpanIds().length > 0);
    const seen = new Set(sink.received.map((it) => it.headers['idempotency-key']));
    expect([sink.received.length, seen.size]).toEqual([4, 1]);
  });

  test('one poisoned request in a hundred: it alone is dropped, and counted', async () => {
    const process = await startGateway(...memory);
    const send = senderTo(process);
    const poisoned = makeExport({ platformId: support, spans: 5 });
    const poison = new Set(poisoned.spanIds.flat());
    sink.answer = (received) =>
      exportOf(received).spans.some(({ spanId }) => poison.has(spanId))
        ? { status: 400, body: 'bad span' }
        : acceptAll(received);
    const told: string[] = [];
    const headers = ['Content-Type', 'application/x-protobuf', 'x-api-key', key];
    const answers = Array.from({ length: 100 }, async (_, index) => {
      if (index === 50) await http({ port: process.ports.http, headers, body: poisoned.proto });
      const { status, ids } = await send();
      expect(status).toBe(200);
      told.push(...ids);
    });
    await Promise.all(answers);
    await sink.until(() => new Set(sink.acceptedSpanIds()).size >= told.length);
    expect([...new Set(sink.acceptedSpanIds())].sort()).toEqual([...told].sort());
    const ledger = await settled(process);
    expect(ledger).toEqual({
      accepted: told.length + 5,
      delivered: told.length,
      dropped: 5,
      waiting: 0,
    });
  });

  test('spans that the downstream takes in part: the rest is dropped, and counted', async () => {
    const process = await startGateway(...memory);
    // partial_success { rejected_spans: 2 }
    sink.answer = () => ({
      status: 200,
      headers: { 'content-type': 'application/x-protobuf' },
      body: Buffer.from('0a020802', 'hex'),
    });
    const body = makeExport({ platformId: support, spans: 5 });
    const headers = ['Content-Type', 'application/x-protobuf', 'x-api-key', key];
    const answer = await http({ port: process.ports.http, headers, body: body.proto });
    expect(answer.status).toBe(200);
    await sink.until(() => sink.acceptedSpanIds().length > 0);
    expect(await settled(process)).toEqual({ accepted: 5, delivered: 3, dropped: 2, waiting: 0 });
  });

  test('a stop delivers what waits and finishes what is being read', async () => {
    const process = await startGateway(...memory);
    const send = senderTo(process);
    const hold = turnstile();
    sink.answer = async (received) => {
      await hold.opened;
      return acceptAll(received);
    };
    const told: string[] = [];
    for (let round = 0; round < 20; round += 1) told.push(...(await send()).ids);
    const half = makeExport({ platformId: sales, spans: 4 });
    const { answer, upload } = openHttp({
      port: process.ports.http,
      headers: [
        ...['Content-Type', 'application/x-protobuf', 'x-api-key', key],
        ...['Content-Length', String(half.proto.length), 'Expect', '100-continue'],
      ],
    });
    await new Promise((resolve) => upload.once('continue', resolve));
    upload.write(half.proto.subarray(0, 30));
    process.signal('SIGTERM');
    await process.logged(/"stopping"/);
    expect(await getText(process.ports.health, '/readyz')).toMatch(/stopping|not ready/);
    upload.end(half.proto.subarray(30));
    expect((await answer).status).toBe(200);
    hold.open();
    expect(await process.exited).toBe(0);
    const wanted = [...told, ...half.spanIds.flat()];
    expect([...new Set(sink.acceptedSpanIds())].sort()).toEqual(wanted.sort());
  });

  test('a stop that runs out of time says what it had to drop', async () => {
    const process = await startGateway(...memory, 'shutdown_timeout=300ms');
    sink.answer = () => ({ status: 503 });
    const send = senderTo(process);
    const { ids } = await send();
    process.signal('SIGTERM');
    await process.exited;
    expect(process.logs()).toMatch(/shutdown_timeout/);
    const dropped = /"(?:items|spans|dropped)":(\d+)/.exec(process.logs());
    expect(Number(dropped?.[1])).toBe(ids.length);
  });
});

/** The counters once nothing waits any more; they follow an answer of the sink by a moment. */
async function settled(process: GatewayProcess): Promise<Ledger> {
  for (;;) {
    const ledger = await ledgerOf(process);
    expect(ledger.accepted).toBeGreaterThanOrEqual(ledger.delivered + ledger.dropped);
    if (ledger.waiting === 0 && ledger.accepted === ledger.delivered + ledger.dropped) {
      return ledger;
    }
  }
}

async function expectBalanced(process: GatewayProcess, accepted: number): Promise<void> {
  const ledger = await settled(process);
  expect(ledger).toEqual({ accepted, delivered: accepted, dropped: 0, waiting: 0 });
}
