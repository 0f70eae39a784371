/**
 * The application beside a sidecar knows neither key nor agent: the sidecar adds both, the central
 * gateway checks them, and the spans arrive as if the application had sent them itself.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Gate, otlpDoors, sendExport } from '../harness/doors.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { grpcClient } from '../harness/grpc-client.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { type MadeKey, registryOf } from '../harness/registry.ts';
import { exportOf, type Sink, startSink } from '../harness/sink.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';

let sink: Sink;
let workspace: Workspace;
let central: GatewayProcess;
let unrestricted: MadeKey;
const gates: Gate[] = [];

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  await registry.agent('Support', { id: sales, name: 'Sales bot' });
  unrestricted = await registry.key('Support', { name: 'all' });
  central = await workspace.start();
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

afterEach(() => {
  for (const { grpc } of gates.splice(0)) grpc.close();
});

/** What an application sees of its sidecar. */
async function sidecar(environment: Record<string, string>): Promise<Gate> {
  const process = await workspace.startSidecar({
    MIBO_DOWNSTREAM_ENDPOINT: `http://127.0.0.1:${central.ports.http}`,
    ...environment,
  });
  const gate = { grpc: grpcClient(process.ports.grpc), httpPort: process.ports.http };
  gates.push(gate);
  return gate;
}

describe('with key and agent in its environment', () => {
  let gate: Gate;

  beforeEach(async () => {
    gate = await sidecar({ MIBO_API_KEY: unrestricted.key, MIBO_PLATFORM_ID: sales });
  });

  test('spans without either arrive, whatever the protocol', async () => {
    for (const door of otlpDoors) {
      sink.received.length = 0;
      const body = makeExport({ spans: 3 });
      const answer = await sendExport(gate, { door, body, headers: [] });
      expect(answer.status, answer.message).toBe(200);
      await sink.until(() => sink.acceptedSpanIds().length >= 3);
      const [delivery] = sink.received;
      expect(delivery?.headers).toMatchObject({
        'x-mibo-platform-id': sales,
        'x-mibo-key-id': unrestricted.id,
      });
      expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
      const read = exportOf(delivery as Sink['received'][0]);
      expect(read.resources.map(({ platformIds }) => platformIds)).toEqual([[{ string: sales }]]);
    }
  });

  test('Your API gets the answer of the ingestion service through both', async () => {
    const answer = await http({
      port: gate.httpPort,
      path: '/public/traces',
      headers: ['Content-Type', 'application/json', 'x-request-id', 'chat-001'],
      body: '{"spans":[{"span_id":"s-1","name":"Agent"}]}',
    });
    expect([answer.status, answer.body.toString()]).toEqual([
      201,
      '{"success":true,"data":{"id":"tr_1"}}',
    ]);
    const [delivery] = sink.received;
    expect(delivery?.headers).toMatchObject({
      'x-mibo-platform-id': sales,
      'x-request-id': 'chat-001',
    });
    expect(JSON.parse(String(delivery?.message)).platformId).toBe(sales);
  });
});

describe('with a key alone', () => {
  test("the application's own attribute decides", async () => {
    const gate = await sidecar({ MIBO_API_KEY: unrestricted.key });
    const body = makeExport({ platformId: support, spans: 1 }, { platformId: sales, spans: 2 });
    const answer = await sendExport(gate, { door: 'grpc', body, headers: [] });
    expect(answer.status).toBe(200);
    await sink.until(() => sink.acceptedSpanIds().length >= 3);
    const arrived = sink.received.map(({ headers, message }) => [
      headers['x-mibo-platform-id'],
      exportOf({ message } as Sink['received'][0]).spans.length,
    ]);
    expect(arrived.sort()).toEqual([
      [sales, 2],
      [support, 1],
    ]);
  });
});

describe('with nothing but an address', () => {
  test("the application's own key goes through; without one it is told at once", async () => {
    const gate = await sidecar({});
    const body = makeExport({ platformId: support });
    const without = await sendExport(gate, { door: 'http proto', body, headers: [] });
    expect([without.status, without.code]).toEqual([401, 'MISSING_API_KEY']);
    const headers = ['x-api-key', unrestricted.key];
    const answer = await sendExport(gate, { door: 'http proto', body, headers });
    expect(answer.status, answer.message).toBe(200);
    await sink.until(() => sink.acceptedSpanIds().length > 0);
    expect(sink.received[0]?.headers['x-mibo-key-id']).toBe(unrestricted.id);
  });
});

test('the central gateway is away for a while: the application does not notice', async () => {
  const gate = await sidecar({ MIBO_API_KEY: unrestricted.key, MIBO_PLATFORM_ID: support });
  const { http: port } = central.ports;
  await central.stop();
  const body = makeExport({ spans: 5 });
  const answer = await sendExport(gate, { door: 'grpc', body, headers: [] });
  expect(answer.status).toBe(200);
  central = await workspace.start(`receivers.otlp.protocols.http.endpoint=127.0.0.1:${port}`);
  await sink.until(() => sink.acceptedSpanIds().length >= 5);
  expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
});
