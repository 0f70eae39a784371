/**
 * Every way to name an agent, with every kind of key, at every door: the same request gets the
 * same verdict everywhere. What has to come out is written down here a second time, in a few
 * lines, from the rule in plain words:
 *
 *   a key of one agent sends to that agent; else the named agent if the key may reach it; else 400
 *   if none is named and 403 if it may not. A malformed id is a 400 always.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Door,
  type DoorAnswer,
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
import { grpcClient } from '../harness/grpc-client.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { type MadeKey, registryOf } from '../harness/registry.ts';
import { exportOf, type Sink, startSink } from '../harness/sink.ts';

const agents = {
  a: '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c',
  b: '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91',
  c: '5c1b6f0a-3d2e-4f1a-8b9c-0d1e2f3a4b5c',
  removed: '91f2a0b4-6c3d-4e5f-9a8b-7c6d5e4f3a2b',
  foreign: 'f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f',
  unknown: '11111111-2222-4333-8444-555555555555',
} as const;

/** What a request may name. `other` is in the project; no scoped key here reaches it. */
const targets = {
  nothing: undefined,
  empty: '',
  own: agents.a,
  upper: agents.a.toUpperCase(),
  second: agents.b,
  other: agents.c,
  foreign: agents.foreign,
  unknown: agents.unknown,
  removed: agents.removed,
  malformed: `urn:uuid:${agents.a}`,
  quoted: `"${agents.a}"`,
} as const;
type Target = keyof typeof targets;
const targetNames = Object.keys(targets) as Target[];

const reach = {
  unrestricted: [agents.a, agents.b, agents.c],
  one: [agents.a],
  two: [agents.a, agents.b],
  none: [],
} as const;
type KeyKind = keyof typeof reach;
const keyKinds = Object.keys(reach) as KeyKind[];
type Conflict = 'use_scope' | 'reject';

type Verdict =
  | { readonly status: 200; readonly agent: string; readonly warned: boolean }
  | { readonly status: 400 | 403; readonly code: string };

function expected(kind: KeyKind, target: Target, conflict: Conflict): Verdict {
  if (target === 'malformed' || target === 'quoted') {
    return { status: 400, code: 'VALIDATION_ERROR' };
  }
  const named = target === 'nothing' || target === 'empty' ? '' : targets[target].toLowerCase();
  const own = reach[kind] as readonly string[];
  if (own.includes(named)) return { status: 200, agent: named, warned: false };
  if (kind === 'one' && named === '') return { status: 200, agent: agents.a, warned: false };
  if (kind === 'one' && conflict === 'use_scope') {
    return { status: 200, agent: agents.a, warned: true };
  }
  if (named === '') return { status: 400, code: 'PLATFORM_NOT_FOUND' };
  return { status: 403, code: 'PLATFORM_NOT_ALLOWED' };
}

let sink: Sink;
let workspace: Workspace;
let projectId: string;
const keys: Partial<Record<KeyKind, MadeKey>> = {};

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  projectId = (await registry.project('Support')).id;
  await registry.project('Elsewhere');
  for (const name of ['a', 'b', 'c', 'removed'] as const) {
    await registry.agent('Support', { id: agents[name], name: `agent ${name}` });
  }
  await registry.agent('Elsewhere', { id: agents.foreign, name: 'their secret agent' });
  keys.unrestricted = await registry.key('Support', { name: 'unrestricted' });
  keys.one = await registry.key('Support', { name: 'one', agents: [agents.a] });
  keys.two = await registry.key('Support', { name: 'two', agents: [agents.a, agents.b] });
  keys.none = await registry.key('Support', { name: 'none', agents: [agents.removed] });
  await registry.removeAgent('Support', agents.removed);
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

function keyOf(kind: KeyKind): MadeKey {
  return keys[kind] as MadeKey;
}

/** Asks once and checks the answer and what arrived downstream. */
function checkVerdict(answer: DoorAnswer, verdict: Verdict, context: string): void {
  expect(answer.status, `${context}: ${answer.message}`).toBe(verdict.status);
  if (verdict.status !== 200) {
    expect(answer.code, context).toBe(verdict.code);
    expect(answer.message, 'a key is told nothing of other projects').not.toMatch(/their secret/);
    expect(sink.received, context).toEqual([]);
    return;
  }
  expect(answer.rejected, context).toBe(0);
  if (verdict.warned) expect(answer.message, context).toMatch(/restricted to/);
  else expect(answer.message, context).toBe('');
}

function checkHeaders(kind: KeyKind, agent: string): void {
  expect(sink.received.length).toBe(1);
  expect(sink.received[0]?.headers).toMatchObject({
    'x-mibo-project-id': projectId,
    'x-mibo-platform-id': agent,
    'x-mibo-key-id': keyOf(kind).id,
  });
}

function checkStamps(agent: string, spanIds: readonly string[]): void {
  const read = exportOf(sink.received[0] as Sink['received'][0]);
  for (const { platformIds } of read.resources) expect(platformIds).toEqual([{ string: agent }]);
  expect(read.spans.map(({ spanId }) => spanId)).toEqual(spanIds);
}

const conflicts: readonly Conflict[] = ['use_scope', 'reject'];

describe.each(conflicts)('on_scope_conflict: %s', (conflict) => {
  let gateway: GatewayProcess;
  let gate: Gate;

  beforeAll(async () => {
    gateway = await workspace.start(`routing.on_scope_conflict=${conflict}`);
    gate = { grpc: grpcClient(gateway.ports.grpc), httpPort: gateway.ports.http };
  });

  afterAll(async () => {
    gate?.grpc.close();
    await gateway?.stop();
  });

  const doors: readonly Door[] = [...otlpDoors, ...envelopeDoors];

  describe.each(doors)('%s', (door) => {
    test.each(keyKinds)('%s key: named by the resource attribute', async (kind) => {
      for (const target of targetNames) {
        sink.received.length = 0;
        const body = makeExport({ platformId: targets[target], spans: 2 });
        const headers = ['x-api-key', keyOf(kind).key];
        const answer = await sendExport(gate, { door, body, headers });
        const verdict = expected(kind, target, conflict);
        checkVerdict(answer, verdict, target);
        if (verdict.status !== 200) continue;
        checkHeaders(kind, verdict.agent);
        checkStamps(verdict.agent, body.spanIds.flat());
      }
    });

    test.each(keyKinds)('%s key: named by the header', async (kind) => {
      for (const target of targetNames) {
        sink.received.length = 0;
        const body = makeExport({ spans: 1 }, { spans: 2 });
        const named = targets[target];
        const headers = ['x-api-key', keyOf(kind).key];
        if (named !== undefined) headers.push('x-mibo-platform-id', named);
        const answer = await sendExport(gate, { door, body, headers });
        const verdict = expected(kind, target, conflict);
        checkVerdict(answer, verdict, target);
        if (verdict.status !== 200) continue;
        checkHeaders(kind, verdict.agent);
        checkStamps(verdict.agent, body.spanIds.flat());
      }
    });

    test.each(keyKinds)('%s key: the attribute goes before the header', async (kind) => {
      for (const target of ['own', 'second', 'other', 'foreign', 'malformed'] as const) {
        sink.received.length = 0;
        const body = makeExport({ platformId: targets[target] });
        const headers = ['x-api-key', keyOf(kind).key, 'x-mibo-platform-id', agents.b];
        const answer = await sendExport(gate, { door, body, headers });
        const verdict = expected(kind, target, conflict);
        checkVerdict(answer, verdict, target);
        if (verdict.status === 200) checkHeaders(kind, verdict.agent);
      }
    });

    test.each(keyKinds)('%s key: each resource of a mixed request', async (kind) => {
      await checkMixed({ gate, door, kind, conflict, mixture: targetNames });
      await checkMixed({
        gate,
        door,
        kind,
        conflict,
        mixture: ['foreign', 'own', 'second', 'own'],
      });
      await checkMixed({ gate, door, kind, conflict, mixture: ['foreign', 'unknown'] });
      await checkMixed({
        gate,
        door,
        kind,
        conflict,
        mixture: ['foreign', 'nothing', 'malformed'],
      });
    });
  });

  const places = ['platformId', 'nested', 'dotted', 'header'] as const;

  describe.each(places)('Your API, named by %s', (place) => {
    test.each(keyKinds)('%s key', async (kind) => {
      for (const target of targetNames) {
        sink.received.length = 0;
        const answer = await sendFlat({
          gate,
          key: keyOf(kind).key,
          place,
          named: targets[target],
        });
        const verdict = expected(kind, target, conflict);
        expect(answer.status, `${target}: ${answer.message}`).toBe(
          verdict.status === 200 ? 201 : verdict.status,
        );
        if (verdict.status !== 200) {
          expect(answer.code).toBe(verdict.code);
          expect(sink.received).toEqual([]);
          continue;
        }
        if (verdict.warned) expect(answer.message).toMatch(/restricted to/);
        else expect(answer.message).toBe('');
        checkHeaders(kind, verdict.agent);
        checkFlat(place, target, verdict.agent);
      }
    });
  });
});

afterEach(() => {
  // Nothing that was refused may trickle in later: each test looks at all that arrived.
  const ids = new Set(sink.received.map(({ headers }) => headers['idempotency-key']));
  expect(ids.size).toBe(sink.received.length);
});

type Mixed = {
  readonly gate: Gate;
  readonly door: Door;
  readonly kind: KeyKind;
  readonly conflict: Conflict;
  readonly mixture: readonly Target[];
};

async function checkMixed({ gate, door, kind, conflict, mixture }: Mixed): Promise<void> {
  sink.received.length = 0;
  // Every resource has its own number of spans, so that a mix-up cannot cancel out.
  const body = makeExport(
    ...mixture.map((target, index) => ({ platformId: targets[target], spans: index + 1 })),
    { platformId: targets.unknown, spans: 0 },
  );
  const verdicts = mixture.map((target) => expected(kind, target, conflict));
  const headers = ['x-api-key', keyOf(kind).key];
  const answer = await sendExport(gate, { door, body, headers });
  const good = verdicts.filter((verdict) => verdict.status === 200);
  const arrived = new Map(
    sink.received.map((it) => [it.headers['x-mibo-platform-id'] as string, it] as const),
  );
  expect([...arrived.keys()].sort()).toEqual([...new Set(good.map((it) => it.agent))].sort());
  for (const [agent, delivery] of arrived) {
    const read = exportOf(delivery);
    const wanted = verdicts.flatMap((verdict, index) =>
      verdict.status === 200 && verdict.agent === agent ? (body.spanIds[index] ?? []) : [],
    );
    expect(read.spans.map(({ spanId }) => spanId)).toEqual(wanted);
    for (const { platformIds } of read.resources) expect(platformIds).toEqual([{ string: agent }]);
  }
  if (good.length === 0) {
    const refused = verdicts.filter((verdict) => verdict.status !== 200);
    const status = refused.every((verdict) => verdict.status === 403) ? 403 : 400;
    const first = refused.find((verdict) => verdict.status === status);
    expect([answer.status, answer.code]).toEqual([status, first?.code]);
    return;
  }
  const rejected = verdicts.reduce(
    (sum, verdict, index) => sum + (verdict.status === 200 ? 0 : index + 1),
    0,
  );
  expect([answer.status, answer.rejected]).toEqual([200, rejected]);
  const remarkable = verdicts.some((it) => it.status !== 200 || it.warned);
  expect(answer.message !== '', answer.message).toBe(remarkable);
}

type Place = 'platformId' | 'nested' | 'dotted' | 'header';
type FlatSending = {
  readonly gate: Gate;
  readonly key: string;
  readonly place: Place;
  readonly named: string | undefined;
};

async function sendFlat({ gate, key, place, named }: FlatSending): Promise<DoorAnswer> {
  const headers = ['Content-Type', 'application/json', 'x-api-key', key];
  const body: Record<string, unknown> = { spans: [{ span_id: 's-1', name: 'Agent' }] };
  if (named !== undefined) {
    if (place === 'header') headers.push('x-mibo-platform-id', named);
    if (place === 'platformId') body.platformId = named;
    if (place === 'nested') body.metadata = { mibo: { platform_id: named }, kept: 1 };
    if (place === 'dotted') body.metadata = { 'mibo.platform_id': named, kept: 1 };
  }
  const answer = await http({
    port: gate.httpPort,
    path: '/public/traces',
    headers,
    body: JSON.stringify(body),
  });
  if (answer.status !== 201) return miboRefusal(answer);
  const message = String(answer.headers['x-mibo-warning'] ?? '');
  return { status: 201, message, code: '', rejected: 0, retryMs: undefined };
}

/** The resolved agent stands wherever the body named one, and in `platformId` always. */
function checkFlat(place: Place, target: Target, agent: string): void {
  const body = JSON.parse(String(sink.received[0]?.message));
  expect(body.platformId).toBe(agent);
  expect(body.spans).toEqual([{ span_id: 's-1', name: 'Agent' }]);
  if (targets[target] === undefined) return;
  if (place === 'nested') expect(body.metadata).toEqual({ mibo: { platform_id: agent }, kept: 1 });
  if (place === 'dotted') expect(body.metadata).toEqual({ 'mibo.platform_id': agent, kept: 1 });
}
