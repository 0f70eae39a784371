/**
 * A revoked key stops working at once: when `keys revoke` returns, in whatever process it ran, no
 * request that starts afterwards is accepted, at any door, on any open connection, after any
 * crash.
 */
import { Agent } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Door,
  envelopeDoors,
  type Gate,
  miboRefusal,
  otlpDoors,
  sendExport,
} from '../harness/doors.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { framed, grpcClient } from '../harness/grpc-client.ts';
import { http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { type Registry, registryOf } from '../harness/registry.ts';
import { type Sink, startSink } from '../harness/sink.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const doors: readonly Door[] = [...otlpDoors, ...envelopeDoors];

let sink: Sink;
let workspace: Workspace;
let registry: Registry;
let gateway: GatewayProcess;
let gate: Gate;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  await registry.agent('Support', { id: sales, name: 'Sales bot' });
  await start();
});

async function start(): Promise<void> {
  gateway = await workspace.start();
  gate = { grpc: grpcClient(gateway.ports.grpc), httpPort: gateway.ports.http };
}

afterAll(async () => {
  gate?.grpc.close();
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

function newKey() {
  return registry.key('Support', { name: 'short-lived', agents: [support] });
}

async function statusAt(door: Door | 'flat', key: string): Promise<number> {
  if (door !== 'flat') {
    const { status } = await sendExport(gate, {
      door,
      body: makeExport({}),
      headers: ['x-api-key', key],
    });
    return status;
  }
  const answer = await http({
    port: gate.httpPort,
    path: '/public/traces',
    headers: ['Content-Type', 'application/json', 'x-api-key', key],
    body: '{"spans":[]}',
  });
  return answer.status === 201 ? 200 : miboRefusal(answer).status;
}

const everyDoor: readonly (Door | 'flat')[] = [...doors, 'flat'];

test('the very next request is refused, at every door', async () => {
  const { id, key } = await newKey();
  for (const door of everyDoor) expect(await statusAt(door, key), door).toBe(200);
  await registry.revoke(id);
  sink.received.length = 0;
  for (const door of everyDoor) expect(await statusAt(door, key), door).toBe(401);
  expect(sink.received).toEqual([]);
});

test('under traffic, nothing that starts after the revoke has returned is accepted', async () => {
  const { id, key } = await newKey();
  let revokedAtMs = Number.POSITIVE_INFINITY;
  const outcomes: { startedAtMs: number; status: number }[] = [];
  const workers = everyDoor
    .flatMap((door) => [door, door])
    .map(async (door) => {
      while (performance.now() < revokedAtMs + 300) {
        const startedAtMs = performance.now();
        outcomes.push({ startedAtMs, status: await statusAt(door, key) });
      }
    });
  await registry.revoke(id);
  revokedAtMs = performance.now();
  await Promise.all(workers);
  const late = outcomes.filter(({ startedAtMs }) => startedAtMs >= revokedAtMs);
  const early = outcomes.filter(({ startedAtMs }) => startedAtMs < revokedAtMs);
  expect(early.some(({ status }) => status === 200)).toBe(true);
  expect(late.length).toBeGreaterThan(everyDoor.length);
  expect(new Set(late.map(({ status }) => status))).toEqual(new Set([401]));
});

test('on a connection that is kept open', async () => {
  const { id, key } = await newKey();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const post = () =>
    http({
      port: gate.httpPort,
      headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', key],
      body: makeExport({}).proto,
      agent,
    });
  expect((await post()).status).toBe(200);
  await registry.revoke(id);
  expect((await post()).status).toBe(401);
  agent.destroy();
});

describe('during a slow upload', () => {
  test.for([true, false])('HTTP (length declared: %s): not accepted', async (declared) => {
    const { id, key } = await newKey();
    const { proto } = makeExport({});
    const { answer, upload } = openHttp({
      port: gate.httpPort,
      headers: [
        ...['Content-Type', 'application/x-protobuf', 'x-api-key', key],
        ...(declared ? ['Content-Length', String(proto.length)] : ['Transfer-Encoding', 'chunked']),
        ...['Expect', '100-continue'],
      ],
    });
    // The gateway asks for the body once it has accepted the key.
    await new Promise((resolve) => upload.once('continue', resolve));
    upload.write(proto.subarray(0, 20));
    await registry.revoke(id);
    upload.end(proto.subarray(20));
    expect((await answer).status).toBe(401);
    expect(sink.received).toEqual([]);
  });

  test('gRPC: not accepted', async () => {
    const { id, key } = await newKey();
    const body = framed(makeExport({}).proto);
    const { answer, stream } = gate.grpc.open({ headers: ['x-api-key', key] });
    stream.write(body.subarray(0, 20));
    // Answered after it on the same connection, so the stream has been seen.
    expect(await statusAt('grpc', key)).toBe(200);
    sink.received.length = 0;
    await registry.revoke(id);
    stream.end(body.subarray(20));
    expect((await answer).status).toBe(16);
    expect(sink.received).toEqual([]);
  });
});

describe('the same at once holds for', () => {
  test('a key that is rotated without grace; its successor works', async () => {
    const { id, key } = await newKey();
    expect(await statusAt('http proto', key)).toBe(200);
    const ran = await workspace.command(['keys', 'rotate', id, '--grace', '0', '--json']);
    expect(ran.code, ran.stderr).toBe(0);
    const successor = (JSON.parse(ran.stdout) as { key: string }).key;
    for (const door of everyDoor) {
      expect(await statusAt(door, key), door).toBe(401);
      expect(await statusAt(door, successor), door).toBe(200);
    }
  });

  test('a key whose time is over', async () => {
    const made = await registry.key('Support', {
      name: 'brief',
      agents: [support],
      expires: '2s',
    });
    const ran = await workspace.command(['keys', 'show', made.id, '--json']);
    const endsAtMs = Date.parse((JSON.parse(ran.stdout) as { expires_at: string }).expires_at);
    const outcomes: { startedAtMs: number; status: number }[] = [];
    while (Date.now() <= endsAtMs + 50) {
      const startedAtMs = Date.now();
      outcomes.push({ startedAtMs, status: await statusAt('http proto', made.key) });
    }
    const late = outcomes.filter(({ startedAtMs }) => startedAtMs >= endsAtMs);
    expect(outcomes[0]?.status).toBe(200);
    expect(late.length).toBeGreaterThan(0);
    expect(new Set(late.map(({ status }) => status))).toEqual(new Set([401]));
  });

  test('an agent that is taken out of the scope of a key', async () => {
    const { id, key } = await registry.key('Support', { name: 'two', agents: [support, sales] });
    const body = () => makeExport({ platformId: sales });
    const send = (door: Door) =>
      sendExport(gate, { door, body: body(), headers: ['x-api-key', key] });
    const third = 'c0ffee00-0000-4000-8000-000000000001';
    await registry.agent('Support', { id: third, name: 'Third' });
    for (const door of doors) expect((await send(door)).status).toBe(200);
    const ran = await workspace.command([
      ...['keys', 'scope', id, '--agent', support, '--agent', third],
    ]);
    expect(ran.code, ran.stderr).toBe(0);
    for (const door of doors) expect((await send(door)).status).toBe(403);
  });

  test('a new key: it works on its first request, even if it was tried before', async () => {
    const key = 'mibo_imported0000000000000000000000later';
    for (const door of everyDoor) expect(await statusAt(door, key)).toBe(401);
    await registry.key('Support', { name: 'later', agents: [support], existing: key });
    for (const door of everyDoor) expect(await statusAt(door, key)).toBe(200);
  });
});

test('after a crash the key is still revoked', async () => {
  const { id, key } = await newKey();
  expect(await statusAt('http proto', key)).toBe(200);
  await registry.revoke(id);
  gateway.signal('SIGKILL');
  expect(await gateway.exited).toBe('SIGKILL');
  gate.grpc.close();
  await start();
  for (const door of everyDoor) expect(await statusAt(door, key), door).toBe(401);
});
