/**
 * Whatever a real client sends arrives downstream exactly: the same bytes where nothing had to
 * change, and nothing but the stamp changed where something had to. What cannot be taken is
 * refused with the reason.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../harness/doors.ts';
import {
  agentA,
  agentB,
  type Fixture,
  fixtureKey,
  messageOf,
  readFixtures,
  wireBody,
} from '../harness/fixtures.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { contentOf, type ReadExport, withoutStamp } from '../harness/read-export.ts';
import { registryOf } from '../harness/registry.ts';
import { replay } from '../harness/replay.ts';
import { exportOf, type Received, type Sink, startSink } from '../harness/sink.ts';
import { allBytes, readFields } from '../harness/wire.ts';

const fixtures = readFixtures();

/** Decoders take these, but by protocol.md §4 spans need ids of the right length. */
const refusedForIds = ['edge-ids-absent', 'edge-ids-short', 'python-logs-http-protobuf'];

/** What the refusal has to name, so that its reader knows what to do. */
const reasons: Readonly<Record<string, RegExp>> = {
  'edge-grpc-flag-without-encoding': /grpc-encoding/,
  'edge-gzip-label-missing': /gzip.*Content-Encoding|Content-Encoding.*gzip/i,
  'edge-gzip-truncated': /gzip.*(cut|end|truncat)/i,
  'edge-ids-absent': /trace.?id/i,
  'edge-ids-short': /trace.?id.*\b8\b|\b8\b.*trace.?id/i,
  'edge-invalid-utf8-name': /utf-?8/i,
  'edge-json-malformed': /json/i,
  'edge-truncated': /(byte|offset|cut|end)/i,
  'python-logs-http-protobuf': /OTEL_LOGS_EXPORTER|logs/,
};

const contentTypes = {
  grpc: 'application/grpc',
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
let singleAgentKey: string;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agentA, name: 'Support bot' });
  await registry.agent('Support', { id: agentB, name: 'Sales bot' });
  await registry.key('Support', { name: 'everything', existing: fixtureKey });
  const key = await registry.key('Support', { name: 'support bot only', agents: [agentA] });
  singleAgentKey = key.key;
  gateway = await workspace.start();
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

/** Where each resource has to go, by product.md rule 3; undefined: refused. */
function agentsOf(expected: ReadExport, only: string | undefined): (string | undefined)[] {
  return expected.resources.map(({ platformIds }) => {
    const named = (platformIds.at(-1)?.string ?? '') as string;
    if (named !== '' && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(named)) {
      return undefined;
    }
    if (only !== undefined) return only;
    const agent = named.toLowerCase();
    return agent === agentA || agent === agentB ? agent : undefined;
  });
}

function deliveryFor(agent: string): Received | undefined {
  const found = sink.received.filter(({ headers }) => headers['x-mibo-platform-id'] === agent);
  expect(found.length, `deliveries for ${agent}`).toBeLessThanOrEqual(1);
  return found[0];
}

function checkArrival(fixture: Fixture, expected: ReadExport, agents: (string | undefined)[]) {
  const wanted = new Set(agents.filter((agent) => agent !== undefined));
  expect(sink.received.length).toBe(wanted.size);
  for (const agent of wanted) {
    const indexes = agents.flatMap((it, index) => (it === agent ? [index] : []));
    const delivery = deliveryFor(agent) as Received;
    const read = exportOf(delivery);
    expect(read.resources.map((_, index) => contentOf(read, index))).toEqual(
      indexes.map((index) => contentOf(expected, index)),
    );
    for (const resource of read.resources)
      expect(resource.platformIds).toEqual([{ string: agent }]);
    if (fixture.protocol !== 'http/json') checkBytes({ fixture, delivery, indexes });
  }
}

/** Beside what a decoder sees, unknown fields and their order have to be the same too. */
function checkBytes(options: { fixture: Fixture; delivery: Received; indexes: number[] }): void {
  const { fixture, delivery, indexes } = options;
  const sent = allBytes(readFields(messageOf(fixture)), 1);
  const arrived = allBytes(readFields(delivery.message), 1);
  expect(arrived.map(withoutStamp)).toEqual(
    indexes.map((index) => withoutStamp(sent[index] as Buffer)),
  );
}

/** True where the request already says all that the forwarded one has to say. */
function needsNoChange(expected: ReadExport, agents: (string | undefined)[]): boolean {
  const stamped = expected.resources.every(
    ({ platformIds }, index) =>
      platformIds.length === 1 && platformIds[0]?.string === agents[index],
  );
  return stamped && new Set(agents).size === 1;
}

async function check(fixture: Fixture, key: string, only: string | undefined): Promise<void> {
  const answer = await replay(gateway, fixture, key);
  expect(answer.contentType).toBe(contentTypes[fixture.protocol]);
  const { expected } = fixture;
  if (expected === undefined || refusedForIds.includes(fixture.name)) {
    expect(answer.status, answer.message).toBe(400);
    expect(answer.message).toMatch(reasons[fixture.name] as RegExp);
    expect(codeOf(answer.message)).toBe('VALIDATION_ERROR');
    expect(sink.received).toEqual([]);
    return;
  }
  const agents = agentsOf(expected, only);
  const refused = expected.resources.filter((_, index) => agents[index] === undefined);
  if (refused.length > 0 && refused.length === agents.length) {
    const malformed = fixture.name === 'edge-platform-not-uuid';
    expect(answer.status).toBe(400);
    expect(answer.message).toMatch(malformed ? /support-bot/ : /mibo\.platform_id/);
    expect(codeOf(answer.message)).toBe(malformed ? 'VALIDATION_ERROR' : 'PLATFORM_NOT_FOUND');
    expect(sink.received).toEqual([]);
    return;
  }
  expect(answer.status, answer.message).toBe(200);
  const rejected = refused.reduce((sum, { spans }) => sum + spans, 0);
  expect(answer.partial?.rejected ?? 0).toBe(rejected);
  const overruled = expected.resources.some(({ platformIds }, index) => {
    const named = String(platformIds.at(-1)?.string ?? '').toLowerCase();
    return named !== '' && agents[index] !== undefined && named !== agents[index];
  });
  if (rejected === 0 && !overruled) expect(answer.partial, 'partial_success').toBeUndefined();
  else expect(answer.partial?.message).not.toBe('');
  checkArrival(fixture, expected, agents);
  if (fixture.protocol === 'http/json' || !needsNoChange(expected, agents)) return;
  const { bytes, compression } = wireBody(fixture);
  expect(sink.received[0]?.headers['content-encoding']).toBe(compression);
  expect(sink.received[0]?.body.equals(bytes), 'untouched, still compressed').toBe(true);
}

test('every capture is there', () => {
  expect(fixtures.length).toBe(78);
});

describe('a key for the whole project', () => {
  test.for(fixtures.map((it) => [it.name, it] as const))('%s', async ([, fixture]) => {
    await check(fixture, fixtureKey, undefined);
  });
});

describe('a key for one agent', () => {
  test.for(fixtures.map((it) => [it.name, it] as const))('%s', async ([, fixture]) => {
    await check(fixture, singleAgentKey, agentA);
  });
});
