/**
 * Both ports take both protocols: people mix 4317 and 4318 up, and no exporter shows a useful text
 * when they do.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sendExport } from '../harness/doors.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { framed, grpcClient } from '../harness/grpc-client.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { registryOf } from '../harness/registry.ts';
import { type Sink, startSink } from '../harness/sink.ts';

const agent = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
let key: string;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agent, name: 'Support bot' });
  key = (await registry.key('Support', { name: 'one', agents: [agent] })).key;
  gateway = await workspace.start();
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

test('gRPC works on the port of HTTP', async () => {
  const grpc = grpcClient(gateway.ports.http);
  const body = makeExport({ spans: 2 });
  const answer = await grpc.call({ headers: ['x-api-key', key], body: framed(body.proto) });
  grpc.close();
  expect(answer.status, answer.message).toBe(0);
  expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
});

test.for(['http proto', 'http json', 'envelope json'] as const)(
  '%s works on the port of gRPC',
  async (door) => {
    const grpc = grpcClient(gateway.ports.grpc);
    const body = makeExport({ spans: 2 });
    const gate = { grpc, httpPort: gateway.ports.grpc };
    const answer = await sendExport(gate, { door, body, headers: ['x-api-key', key] });
    grpc.close();
    expect(answer.status, answer.message).toBe(200);
    expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
  },
);

test('OTLP/HTTP over HTTP/2 works too', async () => {
  for (const port of [gateway.ports.http, gateway.ports.grpc]) {
    sink.received.length = 0;
    const client = grpcClient(port);
    const body = makeExport({});
    const headers = ['content-type', 'application/x-protobuf', 'x-api-key', key];
    const answer = await client.call({ path: '/v1/traces', headers, body: body.proto });
    client.close();
    expect([answer.httpStatus, answer.fields['content-type']]).toEqual([
      200,
      'application/x-protobuf',
    ]);
    expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
  }
});

test('a load balancer can ask for health on both, without a key', async () => {
  const path = '/grpc.health.v1.Health/Check';
  for (const port of [gateway.ports.grpc, gateway.ports.http]) {
    const client = grpcClient(port);
    const answer = await client.call({ path, body: framed(Buffer.alloc(0)) });
    client.close();
    // HealthCheckResponse { status: SERVING }
    expect([answer.status, answer.reply?.toString('hex')]).toEqual([0, '0801']);
    expect((await http({ port, path: '/health', method: 'GET' })).status).toBe(200);
  }
});
