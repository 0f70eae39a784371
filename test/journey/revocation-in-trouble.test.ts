/**
 * The guarantee of a revoke where a gateway cannot know of it: its feed hangs, the whole process
 * stands still, its clock runs on while it sleeps, an upload takes longer than the revoke, or
 * somebody is killed right after it was acknowledged.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { sendExport } from '../harness/doors.ts';
import { expectNone, expectStatuses, named } from '../harness/expect-answers.ts';
import { framed, type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import type { MadeKey } from '../harness/registry.ts';
import { type Answer, startTraffic, type Traffic } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';

let cluster: Cluster;
let first: Member;
let troubled: Member;
let good: string;
let traffic: Traffic | undefined;
const opened: GrpcClient[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  [first, troubled] = cluster.members as [Member, Member];
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  good = (await newKey()).key;
});

afterAll(() => cluster?.close());

afterEach(async () => {
  troubled.process.signal('SIGCONT');
  await cluster.heal();
  await traffic?.stop();
  // The next test finds gateways that are well again.
  traffic = startTraffic({ gateways: cluster.members, keys: { good } });
  await traffic.untilLast('good', 200);
  await traffic.stop();
  traffic = undefined;
  for (const client of opened.splice(0)) client.close();
});

function newKey(): Promise<MadeKey> {
  return first.admin.createKey(project, { name: 'a key', agents: [support] });
}

function trafficOf(revoked: string): Traffic {
  traffic = startTraffic({ gateways: cluster.members, keys: { good, revoked } });
  return traffic;
}

const isTroubled = ({ gateway }: Answer) => gateway === troubled.name;

/** Answers on the way back may still be 503. */
async function untilWell(running: Traffic): Promise<void> {
  await running.untilLast('good', 200);
  await running.untilLast('revoked', 401);
}

test('a gateway whose feed hangs: it answers 503, never 200 for the revoked key', async () => {
  const { id, key } = await newKey();
  const running = trafficOf(key);
  expectStatuses(await running.more(2), 200);
  troubled.toPostgres.hang();
  await cluster.operator.registry.revoke(id);
  const late = await running.more(6);
  expectStatuses(late.filter(isTroubled), 503);
  for (const { retryMs } of late.filter(isTroubled)) {
    expect(retryMs).toBeGreaterThanOrEqual(1000);
    expect(retryMs).toBeLessThanOrEqual(3000);
  }
  const others = late.filter((it) => !isTroubled(it));
  expectStatuses(others.filter(named('revoked')), 401);
  expectStatuses(others.filter(named('good')), 200);

  await troubled.toPostgres.heal();
  await untilWell(running);
  const healed = await running.more(5);
  expectStatuses(healed.filter(named('revoked')), 401);
  expectStatuses(healed.filter(named('good')), 200);
  expectNone(running.answers.filter(named('good')), 401, 0);
});

test('a gateway that is cut off from the store: the same', async () => {
  const { id, key } = await newKey();
  const running = trafficOf(key);
  expectStatuses(await running.more(2), 200);
  troubled.toPostgres.cut();
  await first.admin.revoke(project, id);
  const late = await running.more(6);
  expectStatuses(late.filter(isTroubled), 503);
  expectStatuses(late.filter((it) => !isTroubled(it)).filter(named('revoked')), 401);
  await troubled.toPostgres.heal();
  await untilWell(running);
  expectStatuses((await running.more(5)).filter(named('revoked')), 401);
  expectNone(running.answers.filter(named('good')), 401, 0);
});

test('a gateway that stood still over the revoke: its first answers are refusals', async () => {
  const { id, key } = await newKey();
  const client = grpcClient(troubled.process.ports.grpc);
  opened.push(client);
  const gate = { grpc: client, httpPort: troubled.process.ports.http };
  const send = (door: 'grpc' | 'http proto', apiKey: string) =>
    sendExport(gate, { door, body: makeExport({}), headers: ['x-api-key', apiKey] });
  for (const door of ['grpc', 'http proto'] as const) {
    expect((await send(door, key)).status).toBe(200);
    expect((await send(door, good)).status).toBe(200);
  }
  troubled.process.signal('SIGSTOP');
  await cluster.operator.registry.revoke(id);
  const answers = (['grpc', 'http proto'] as const).map((door) => send(door, key));
  const others = (['grpc', 'http proto'] as const).map((door) => send(door, good));
  troubled.process.signal('SIGCONT');
  for (const { status } of await Promise.all(answers)) expect([401, 503]).toContain(status);
  for (const { status } of await Promise.all(others)) expect([200, 503]).toContain(status);
});

describe('an upload that was begun before the revoke and ends after it is refused', () => {
  test.for([
    { where: 'by the gateway that revoked', member: 0, feed: 'well' },
    { where: 'by another gateway', member: 1, feed: 'well' },
    { where: 'by a gateway whose feed hangs', member: 1, feed: 'hung' },
  ])('$where', async ({ member, feed }) => {
    const { id, key } = await newKey();
    const { process, toPostgres } = cluster.members[member] as Member;
    const { proto } = makeExport({});
    const { answer, upload } = openHttp({
      port: process.ports.http,
      headers: [
        ...['Content-Type', 'application/x-protobuf', 'x-api-key', key],
        ...['Content-Length', String(proto.length), 'Expect', '100-continue'],
      ],
    });
    // The gateway asks for the body once it has accepted the key.
    await new Promise((resolve) => upload.once('continue', resolve));
    upload.write(proto.subarray(0, 20));
    const client = grpcClient(process.ports.grpc);
    opened.push(client);
    const grpc = client.open({ headers: ['x-api-key', key] });
    const message = framed(proto);
    grpc.stream.write(message.subarray(0, 20));
    // Answered after it on the same connection, so the stream has been seen.
    const gate = { grpc: client, httpPort: process.ports.http };
    const seen = await sendExport(gate, {
      door: 'grpc',
      body: makeExport({}),
      headers: ['x-api-key', key],
    });
    expect(seen.status).toBe(200);
    cluster.sink.received.length = 0;

    if (feed === 'hung') toPostgres.hang();
    await first.admin.revoke(project, id);
    upload.end(proto.subarray(20));
    grpc.stream.end(message.subarray(20));
    expect((await answer).status).toBe(feed === 'hung' ? 503 : 401);
    expect((await grpc.answer).status).toBe(feed === 'hung' ? 14 : 16);
    expect(cluster.sink.received).toEqual([]);
  });
});

describe('acknowledged is for good', () => {
  test('the gateway that revoked is killed', async () => {
    const { id, key } = await newKey();
    const brief = await cluster.join();
    const running = trafficOf(key);
    expectStatuses(await running.more(2), 200);
    await brief.admin.revoke(project, id);
    brief.process.signal('SIGKILL');
    await brief.process.exited;
    expectStatuses((await running.more(5)).filter(named('revoked')), 401);
  });

  test('PostgreSQL and Redis crash, and a gateway comes that was not there', async () => {
    const { id, key } = await newKey();
    const running = trafficOf(key);
    expectStatuses(await running.more(2), 200);
    await cluster.operator.registry.revoke(id);
    await Promise.all([cluster.postgres.stop(), cluster.redis.stop()]);
    await Promise.all([cluster.postgres.start(), cluster.redis.start()]);
    await untilWell(running);
    expectStatuses((await running.more(5)).filter(named('revoked')), 401);
    await running.stop();
    const late = await cluster.join();
    traffic = startTraffic({ gateways: [late], keys: { good, revoked: key } });
    const answers = await traffic.more(3);
    expectStatuses(answers.filter(named('revoked')), 401);
    expectStatuses(answers.filter(named('good')), 200);
    late.process.signal('SIGKILL');
    await late.process.exited;
  });
});
