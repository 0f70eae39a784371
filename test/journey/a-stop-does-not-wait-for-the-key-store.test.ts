/**
 * A stop delivers what was accepted, whatever becomes of the key store, of who uses the admin API
 * and of slow clients: none of them takes time away from the deliveries, or makes the stop longer
 * than `shutdown_timeout`.
 */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { acceptAll } from '../harness/sink.ts';
import { nowMs } from '../harness/traffic.ts';

const sets = [
  'delivery.mode=memory',
  // Longer than the test: only the stop tries again.
  'delivery.retry_on_failure.initial_interval=1h',
  'delivery.retry_on_failure.max_interval=1h',
  'limits.request_deadline=30s',
];

let cluster: Cluster;
let member: Member;
let project: string;
let key: { readonly id: string; readonly key: string };

beforeAll(async () => {
  cluster = await startCluster({ gateways: 0 });
});

beforeEach(() => {
  cluster.sink.received.length = 0;
});

afterEach(async () => {
  member.process.signal('SIGKILL');
  await member.process.exited;
  await cluster.heal();
});

afterAll(() => cluster?.close());

/** One gateway, with a project and a key of their own. */
async function start(shutdownTimeout: string): Promise<GatewayProcess> {
  member = await cluster.join({ sets: [...sets, `shutdown_timeout=${shutdownTimeout}`] });
  project = crypto.randomUUID();
  await member.admin.call('POST', '/projects', { name: project });
  const agent = { id: crypto.randomUUID(), name: 'Bot' };
  await member.admin.call('POST', `/projects/${project}/agents`, agent);
  key = await member.admin.createKey(project, { name: 'a key', agents: [agent.id] });
  return member.process;
}

function headers(...more: readonly string[]): readonly string[] {
  return ['Content-Type', 'application/x-protobuf', 'x-api-key', key.key, ...more];
}

/** Spans that wait, since the downstream has refused them; resolves with their ids. */
async function leaveWaiting({ ports, logged }: GatewayProcess): Promise<readonly string[]> {
  cluster.sink.answer = () => ({ status: 503 });
  const { proto, spanIds } = makeExport({});
  const { status } = await http({ port: ports.http, headers: headers(), body: proto });
  expect(status).toBe(200);
  await logged(/did not take a delivery/);
  return spanIds.flat();
}

/** Somebody who has begun a request to the admin API, and says no more. */
async function idleAtTheAdminApi({ ports }: GatewayProcess): Promise<void> {
  const idle = connect(ports.admin as number, '127.0.0.1').on('error', () => {});
  await new Promise<void>((resolve) => idle.write('GET / HTTP/1.1\r\n', () => resolve()));
}

/** Half of an export, of which the gateway has begun to read. */
async function uploadHalf({ ports }: GatewayProcess) {
  const { proto, spanIds } = makeExport({});
  const length = ['Content-Length', String(proto.length), 'Expect', '100-continue'];
  const { answer, upload } = openHttp({ port: ports.http, headers: headers(...length) });
  upload.on('error', () => {});
  await new Promise((resolve) => upload.once('continue', resolve));
  upload.write(proto.subarray(0, 10));
  const finish = () => {
    upload.end(proto.subarray(10));
    return answer;
  };
  return { finish, ids: spanIds.flat() };
}

test('what waits is delivered while the store hangs and an admin client idles', async () => {
  const process = await start('4s');
  const waiting = await leaveWaiting(process);
  const tried = cluster.sink.received.length;
  // The stop has the time to try more than once.
  cluster.sink.answer = (received) =>
    cluster.sink.received.length > tried + 1 ? acceptAll(received) : { status: 503 };
  member.toPostgres.hang();
  await idleAtTheAdminApi(process);
  process.signal('SIGTERM');
  expect(await process.exited).toBe(0);
  expect(process.logs()).not.toMatch(/is lost/);
  expect(cluster.sink.acceptedSpanIds()).toEqual(waiting);
});

test('what waits is delivered before a client has sent all of its request', async () => {
  const process = await start('20s');
  const waiting = await leaveWaiting(process);
  const { finish, ids } = await uploadHalf(process);
  cluster.sink.answer = acceptAll;
  process.signal('SIGTERM');
  await cluster.sink.until(() => cluster.sink.acceptedSpanIds().length === waiting.length);
  expect(await finish()).toMatchObject({ status: 200 });
  expect(await process.exited).toBe(0);
  expect(cluster.sink.acceptedSpanIds()).toEqual([...waiting, ...ids]);
});

test('a change through the admin API that is under way is made, and answered', async () => {
  const process = await start('20s');
  member.toPostgres.hang();
  const made = member.admin.createKey(project, { name: 'another key' });
  // Answered over another connection, so the change has been taken up by then.
  expect(await isServed()).toBe(true);
  process.signal('SIGTERM');
  while (await isServed());
  await member.toPostgres.heal();
  expect((await made).key).toMatch(/^mibo_/);
  expect(await process.exited).toBe(0);
});

/** Whether the admin API still takes requests. */
async function isServed(): Promise<boolean> {
  const fault = await member.admin.call('GET', '/nothing').catch(String);
  return String(fault).includes(' 404 ');
}

test('a stop ends in time, whatever hangs', async () => {
  const process = await start('2s');
  await leaveWaiting(process);
  cluster.sink.answer = () => new Promise(() => {});
  await uploadHalf(process);
  member.toPostgres.hang();
  member.toRedis.hang();
  await idleAtTheAdminApi(process);
  const changing = member.admin.createKey(project, { name: 'another key' });
  changing.catch(() => {});
  const stoppedAtMs = nowMs();
  process.signal('SIGTERM');
  expect(await process.exited).toBe(0);
  expect(nowMs() - stoppedAtMs).toBeLessThan(6_000);
  await expect(changing).rejects.toThrow();
});
