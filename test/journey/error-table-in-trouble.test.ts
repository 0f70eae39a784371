/**
 * When the gateway or something behind it is in trouble, a client is asked to send again and is
 * told how long to wait; it is never told that its key or its data is wrong. What the ingestion
 * service refuses for good is passed on as such.
 */
import { cpSync, existsSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { framed, type GrpcAnswer, type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { type HttpAnswer, http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import {
  encodings,
  expectGrpcRefusal,
  expectHttpRefusal,
  type Refusal,
} from '../harness/refusals.ts';
import { registryOf } from '../harness/registry.ts';
import { acceptAll, type Sink, startSink } from '../harness/sink.ts';

const agent = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const unavailable: Refusal = { http: 503, grpc: 14, code: 'UNAVAILABLE', retry: true };
const mebibyte = 1024 * 1024;

let sink: Sink;
let workspace: Workspace;
let key: string;
let other: string;
const clients: GrpcClient[] = [];

beforeAll(async () => {
  workspace = createWorkspace({ downstream: 'http://127.0.0.1:9' });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agent, name: 'Support bot' });
  key = (await registry.key('Support', { name: 'one', agents: [agent] })).key;
  other = (await registry.key('Support', { name: 'other', agents: [agent] })).key;
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

function grpcTo(gateway: GatewayProcess): GrpcClient {
  const client = grpcClient(gateway.ports.grpc);
  clients.push(client);
  return client;
}

type Sending = { readonly key?: string; readonly bytes?: number };

function post(gateway: GatewayProcess, sending: Sending = {}): Promise<HttpAnswer> {
  const { proto } = makeExport({ paddingBytes: sending.bytes ?? 10 });
  const headers = ['Content-Type', 'application/x-protobuf', 'x-api-key', sending.key ?? key];
  return http({ port: gateway.ports.http, headers, body: proto });
}

function call(gateway: GatewayProcess, headers: readonly string[] = []): Promise<GrpcAnswer> {
  const body = framed(makeExport({}).proto);
  return grpcTo(gateway).call({ headers: ['x-api-key', key, ...headers], body });
}

/** The same over gRPC, HTTP protobuf and HTTP JSON. */
async function expectEverywhere(gateway: GatewayProcess, refusal: Refusal): Promise<void> {
  for (const encoding of encodings) {
    const body = makeExport({});
    const answer = await http({
      port: gateway.ports.http,
      headers: ['Content-Type', encoding, 'x-api-key', key],
      body: encoding === 'application/json' ? body.json : body.proto,
    });
    expectHttpRefusal(answer, { encoding, refusal });
  }
  expectGrpcRefusal(await call(gateway), refusal);
}

describe('memory', () => {
  const small = [
    'limits.in_flight_mib=1',
    'limits.admission_wait=100ms',
    'receivers.otlp.protocols.grpc.max_recv_msg_size_mib=1',
    'receivers.otlp.protocols.http.max_request_body_size_mib=1',
    'receivers.traces_api.max_request_body_size_mib=1',
  ];

  test('is taken by requests that are being read: free again once they are gone', async () => {
    const gateway = await startGateway(...small);
    const slow = openHttp({
      port: gateway.ports.http,
      headers: [
        ...['Content-Type', 'application/x-protobuf', 'x-api-key', key],
        ...['Content-Length', String(mebibyte)],
      ],
    });
    slow.upload.write(Buffer.alloc(1000));
    // The head of the slow one may still be on its way: wait for the first refusal.
    while ((await post(gateway)).status !== 503);
    await expectEverywhere(gateway, unavailable);
    slow.upload.destroy();
    while ((await post(gateway)).status !== 200);
    expect((await call(gateway)).status).toBe(0);
  });

  test('is taken by what waits for the downstream: nothing accepted is lost', async () => {
    const gateway = await startGateway(...small, 'delivery.mode=memory');
    let resume = (_: unknown): void => {};
    const held = new Promise((resolve) => {
      resume = resolve;
    });
    sink.answer = async (received) => {
      await held;
      return acceptAll(received);
    };
    const acceptedIds: string[] = [];
    for (;;) {
      const body = makeExport({ paddingBytes: 100_000 });
      const headers = ['Content-Type', 'application/x-protobuf', 'x-api-key', key];
      const answer = await http({ port: gateway.ports.http, headers, body: body.proto });
      if (answer.status !== 200) {
        expectHttpRefusal(answer, { encoding: 'application/x-protobuf', refusal: unavailable });
        break;
      }
      acceptedIds.push(...body.spanIds.flat());
      expect(acceptedIds.length).toBeLessThan(20);
    }
    resume(undefined);
    await sink.until(() => sink.acceptedSpanIds().length >= acceptedIds.length);
    expect(sink.acceptedSpanIds().sort()).toEqual(acceptedIds.sort());
    while ((await post(gateway, { bytes: 100_000 })).status !== 200);
  });
});

describe('the downstream', () => {
  let gateway: GatewayProcess;

  beforeEach(async () => {
    gateway = await startGateway();
  });

  test('is down', async () => {
    await sink.stop();
    await expectEverywhere(gateway, unavailable);
  });

  test('answers 429, 502, 503 or 504: send again', async () => {
    for (const status of [429, 502, 503, 504]) {
      sink.answer = () => ({ status, headers: { 'retry-after': '120' } });
      await expectEverywhere(gateway, unavailable);
    }
  });

  test('answers any other error: its words are passed on, and not to send again', async () => {
    const refused = { http: 400, grpc: 3, code: 'VALIDATION_ERROR', hint: /the trace is too old/ };
    for (const status of [400, 401, 403, 404, 413, 422, 500]) {
      sink.answer = () => ({ status, body: 'the trace is too old' });
      await expectEverywhere(gateway, refused);
    }
  });

  test('redirects: nothing is followed, nothing counts as arrived', async () => {
    sink.answer = () => ({ status: 307, headers: { location: `${sink.endpoint}/elsewhere` } });
    const { status } = await post(gateway);
    expect(status).toBe(400);
    expect(sink.received.length).toBe(1);
  });

  test('takes a part: the client is told how many were refused', async () => {
    // partial_success { rejected_spans: 1, error_message: "old" }
    const body = Buffer.from('0a0708011203', 'hex');
    sink.answer = () => ({
      status: 200,
      headers: { 'content-type': 'application/x-protobuf' },
      body: Buffer.concat([body, Buffer.from('old')]),
    });
    const { status, body: answered } = await post(gateway);
    expect(status).toBe(200);
    expect(answered.subarray(2, 4).toString('hex')).toBe('0801');
    expect(answered.toString()).toMatch(/old/);
  });
});

describe('the key store', () => {
  const unknown = 'mibo_test0000000000000000000000000000unknown';
  const file = () => join(workspace.folder, 'data/keys.db');
  const parts = () => [file(), `${file()}-wal`].filter(existsSync);
  const kept = () => join(workspace.folder, 'kept');

  beforeEach(() => cpSync(dirname(file()), kept(), { recursive: true }));

  afterEach(async () => {
    await workspace.stopAll();
    rmSync(dirname(file()), { recursive: true });
    cpSync(kept(), dirname(file()), { recursive: true });
  });

  test.for([
    ['is overwritten', (path: string) => writeFileSync(path, Buffer.alloc(64 * 1024, 0x5a))],
    ['is cut off', (path: string) => truncateSync(path, 0)],
    ['is deleted', (path: string) => rmSync(path)],
  ] as const)('%s: no key is called wrong', async ([, harm]) => {
    const gateway = await startGateway();
    expect((await post(gateway)).status).toBe(200);
    for (const path of parts()) harm(path);
    // An open file can be read on for a moment after it was deleted; a good key stays good.
    let answer = await post(gateway, { key: other });
    while (answer.status === 200) answer = await post(gateway, { key: other });
    expectHttpRefusal(answer, { encoding: 'application/x-protobuf', refusal: unavailable });
    for (const used of [key, other, unknown]) {
      const again = await post(gateway, { key: used });
      if (again.status === 200) expect(used, 'known from before').toBe(key);
      else expectHttpRefusal(again, { encoding: 'application/x-protobuf', refusal: unavailable });
    }
  });

  test('comes back: the gateway goes on by itself', async () => {
    const gateway = await startGateway();
    expect((await post(gateway)).status).toBe(200);
    renameSync(file(), `${file()}.away`);
    let answer = await post(gateway);
    while (answer.status === 200) answer = await post(gateway);
    expectHttpRefusal(answer, { encoding: 'application/x-protobuf', refusal: unavailable });
    renameSync(`${file()}.away`, file());
    while (answer.status === 503) answer = await post(gateway);
    expect(answer.status).toBe(200);
  });
});

describe('time', () => {
  const short = ['limits.request_deadline=400ms', 'limits.admission_wait=400ms'];
  const late: Refusal = { http: 504, grpc: 4, code: 'DEADLINE_EXCEEDED' };

  test('runs out while the body is still arriving', async () => {
    const gateway = await startGateway(...short);
    for (const encoding of encodings) {
      const { answer, upload } = openHttp({
        port: gateway.ports.http,
        headers: ['Content-Type', encoding, 'Content-Length', '1000', 'x-api-key', key],
      });
      upload.write('{');
      expectHttpRefusal(await answer, { encoding, refusal: late });
      upload.destroy();
    }
    const { answer, stream } = grpcTo(gateway).open({ headers: ['x-api-key', key] });
    stream.write(framed(Buffer.alloc(1000)).subarray(0, 100));
    expectGrpcRefusal(await answer, late);
  });

  test('runs out while the downstream thinks: asked to send again, just before', async () => {
    const gateway = await startGateway(...short);
    sink.answer = () => new Promise(() => {});
    const startedAt = performance.now();
    const asTimeout = { ...unavailable, hint: /\(timeout\)/ };
    await expectEverywhere(gateway, asTimeout);
    // Four requests of 400 ms each; clients give up, and some send again, at 10 s.
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });

  test('of the client (grpc-timeout) is kept', async () => {
    const gateway = await startGateway();
    sink.answer = () => new Promise(() => {});
    const startedAt = performance.now();
    const answer = await call(gateway, ['grpc-timeout', '300m']);
    expectGrpcRefusal(answer, unavailable);
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

describe('a stop', () => {
  test('finishes what is being read, takes nothing new, and says so', async () => {
    const gateway = await startGateway();
    const body = makeExport({});
    const { answer, upload } = openHttp({
      port: gateway.ports.http,
      headers: [
        ...['Content-Type', 'application/x-protobuf', 'x-api-key', key],
        ...['Content-Length', String(body.proto.length)],
      ],
    });
    upload.write(body.proto.subarray(0, 10));
    const { stream, answer: overGrpc } = grpcTo(gateway).open({ headers: ['x-api-key', key] });
    const second = makeExport({});
    stream.write(framed(second.proto).subarray(0, 10));
    // Answered on the same connection, so the two uploads before it have been seen.
    expect((await (clients[0] as GrpcClient).call(ownCall())).status).toBe(0);
    expect((await post(gateway)).status).toBe(200);
    gateway.signal('SIGTERM');
    await gateway.logged(/"stopping"/);
    const refused = await post(gateway).catch((error: NodeJS.ErrnoException) => error.code);
    if (typeof refused === 'object') expectHttpRefusal(refused, asUnavailable);
    else expect(refused).toMatch(/ECONNREFUSED|ECONNRESET/);
    upload.end(body.proto.subarray(10));
    stream.end(framed(second.proto).subarray(10));
    const finished = await answer;
    expect(finished.status).toBe(200);
    expect(finished.headers.connection).toBe('close');
    expect((await overGrpc).status).toBe(0);
    expect(await gateway.exited).toBe(0);
    expect(sink.acceptedSpanIds()).toEqual(
      expect.arrayContaining([...body.spanIds.flat(), ...second.spanIds.flat()]),
    );
  });

  const asUnavailable = { encoding: 'application/x-protobuf', refusal: unavailable } as const;
  const ownCall = () => ({ headers: ['x-api-key', key], body: framed(makeExport({}).proto) });
});
