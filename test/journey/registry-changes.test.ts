/**
 * Every other change of the registry, at many gateways: what is given works at the first request,
 * what is taken away is gone when the call returns.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { expectStatuses, named } from '../harness/expect-answers.ts';
import { makeExport } from '../harness/make-export.ts';
import { startTraffic, type Traffic, type TrafficOptions } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const graceMs = 3000;
/** Between the clock of the test, which is never set, and the clocks of the gateways. */
const clockSlackMs = 100;

let cluster: Cluster;
let first: Member;
let traffic: Traffic | undefined;

beforeAll(async () => {
  cluster = await startCluster();
  first = cluster.members[0] as Member;
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  await registry.agent(project, { id: sales, name: 'Sales bot' });
  // Whoever changes something here cannot announce it: it must not rest on that.
  cluster.operator.toRedis.cut();
  first.toRedis.cut();
});

afterAll(() => cluster?.close());

afterEach(async () => {
  await traffic?.stop();
  traffic = undefined;
});

function start(options: Omit<TrafficOptions, 'gateways'>): Traffic {
  traffic = startTraffic({ gateways: cluster.members, ...options });
  return traffic;
}

describe('works at its first request at every gateway', () => {
  test('a key that was made at one of them', async () => {
    const { key } = await first.admin.createKey(project, { name: 'new', agents: [support] });
    expectStatuses(await start({ keys: { key } }).more(2), 200);
  });

  test.for(['the command line', 'the admin API'])(
    'a key that was taken over by %s, though it was tried everywhere before',
    async (way) => {
      const key = `mibo_imported0000000000000-${way.replaceAll(' ', '-')}`;
      const running = start({ keys: { key } });
      expectStatuses(await running.more(3), 401);
      if (way === 'the admin API') {
        const body = { name: 'taken over', agents: [support], key };
        await first.admin.call('POST', `/projects/${project}/api-keys`, body);
      } else {
        const wanted = { name: 'taken over', agents: [support], existing: key };
        await cluster.operator.registry.key(project, wanted);
      }
      expectStatuses(await running.more(5), 200);
    },
  );

  test('an agent that is added to the project of a key that reaches all', async () => {
    const id = 'c0ffee00-0000-4000-8000-000000000001';
    const { key } = await first.admin.createKey(project, { name: 'all' });
    const running = start({ keys: { key }, body: makeExport({ platformId: id }) });
    expectStatuses(await running.more(3), 403);
    await cluster.operator.registry.agent(project, { id, name: 'Third' });
    expectStatuses(await running.more(5), 200);
  });
});

describe('is gone at every gateway when the call has returned', () => {
  test('an agent that is taken out of the scope of a key', async () => {
    const agents = [support, sales];
    const { id, key } = await first.admin.createKey(project, { name: 'two', agents });
    const running = start({ keys: { key }, body: makeExport({ platformId: sales }) });
    expectStatuses(await running.more(3), 200);
    const other = 'c0ffee00-0000-4000-8000-000000000002';
    await cluster.operator.registry.agent(project, { id: other, name: 'Fourth' });
    const path = `/projects/${project}/api-keys/${id}`;
    await first.admin.call('PATCH', path, { agents: [support, other] });
    expectStatuses(await running.more(5), 403);
  });

  test('an agent that is removed from the project', async () => {
    const id = 'c0ffee00-0000-4000-8000-000000000003';
    await cluster.operator.registry.agent(project, { id, name: 'Fifth' });
    const { key } = await first.admin.createKey(project, { name: 'all' });
    const scoped = await first.admin.createKey(project, { name: 'two', agents: [id, sales] });
    const body = makeExport({ platformId: id });
    const running = start({ keys: { key, scoped: scoped.key }, body });
    expectStatuses(await running.more(3), 200);
    await cluster.operator.registry.removeAgent(project, id);
    expectStatuses((await running.more(5)).filter(named('key')), 403);
    // The other key is left with a single agent, which needs no target and overrules this one.
    expectStatuses((await running.more(1)).filter(named('scoped')), 200);
    const before = cluster.sink.received.length;
    await running.more(1);
    const later = cluster.sink.received.slice(before);
    expect(new Set(later.map(({ headers }) => headers['x-mibo-platform-id']))).toEqual(
      new Set([sales]),
    );
  });
});

test('a rotation with grace: both keys work, and the old one ends by itself', async () => {
  const made = await first.admin.createKey(project, { name: 'rotated', agents: [support] });
  const path = `/projects/${project}/api-keys/${made.id}`;
  const grace = `${graceMs}ms`;
  const successor = await first.admin.call('POST', `${path}/rotate`, { grace });
  const { expires_at: expiresAt } = await first.admin.call('GET', path);
  const endsAtMs = Date.parse(expiresAt as string);
  const running = start({ keys: { old: made.key, new: successor.key as string } });
  await running.until(() => (running.answers.at(-1)?.startedAtMs ?? 0) > endsAtMs + clockSlackMs);
  await running.more(2);
  expectStatuses(running.answers.filter(named('new')), 200);
  const old = running.answers.filter(named('old'));
  expectStatuses(
    old.filter(({ answeredAtMs }) => answeredAtMs < endsAtMs - clockSlackMs),
    200,
  );
  expectStatuses(
    old.filter(({ startedAtMs }) => startedAtMs > endsAtMs + clockSlackMs),
    401,
  );
});
