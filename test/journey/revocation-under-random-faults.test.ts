/**
 * The same guarantee while faults come and go at random, several at once: servers that stop, hang
 * or forget, links that are cut, held or slow, gateways that stand still. Keys are revoked all the
 * time, by a gateway that is well or by one that is not; what a call says must be true.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSeededRandom, type SeededRandom } from '../fuzz/seeded-random.ts';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { expectNone, named } from '../harness/expect-answers.ts';
import { type Answer, nowMs, startTraffic } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const runMs = 15_000;

let cluster: Cluster;
/** Never in trouble, but for its Redis. */
let steady: Member;
let good: string;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 4 });
  steady = cluster.members[3] as Member;
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  good = (await steady.admin.createKey(project, { name: 'good', agents: [support] })).key;
});

afterAll(() => cluster?.close());

type Fault = { begin(): unknown; end(): unknown };

/** A group has one fault at a time: a server that is stopped cannot hang as well. */
function faultGroups(random: SeededRandom): readonly (readonly Fault[])[] {
  const { redis, members } = cluster;
  const ofRedis: Fault[] = [
    { begin: () => redis.stop(), end: () => redis.start() },
    { begin: () => redis.pause(), end: () => redis.resume() },
    { begin: () => redis.command('FLUSHALL'), end() {} },
  ];
  const ofMembers = members.slice(0, 3).map(({ process, toPostgres, toRedis }): Fault[] => [
    { begin: () => toPostgres.hang(), end: () => toPostgres.heal() },
    { begin: () => toPostgres.cut(), end: () => toPostgres.heal() },
    { begin: () => toPostgres.delay(random.below(600)), end: () => toPostgres.delay(0) },
    { begin: () => toRedis.hang(), end: () => toRedis.heal() },
    { begin: () => toRedis.delay(random.below(60)), end: () => toRedis.delay(0) },
    { begin: () => process.signal('SIGSTOP'), end: () => process.signal('SIGCONT') },
  ]);
  return [ofRedis, ...ofMembers];
}

/** A time of the load, not a wait for anything. */
function lasts(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function trouble(group: readonly Fault[], random: SeededRandom, untilMs: number) {
  while (nowMs() < untilMs) {
    await lasts(random.below(1500));
    const { begin, end } = random.pick(group);
    await begin();
    await lasts(random.below(2000));
    await end();
  }
}

test('what a revoke call says is true, and a good key is never called unknown', async () => {
  const random = createSeededRandom();
  // Repeats the choices, if not the moments.
  console.log(`FUZZ_SEED=${random.seed}`);
  const untilMs = nowMs() + runMs;
  const troubled = faultGroups(random).map((group) => trouble(group, random, untilMs));
  const answers: Answer[] = [];
  const late: Answer[] = [];
  let revoked = 0;

  async function revokeAll(): Promise<void> {
    while (nowMs() < untilMs) {
      const { admin } = steady;
      const { id, key } = await admin.createKey(project, { name: 'a key', agents: [support] });
      const gateways = cluster.members.slice(0, 3);
      const traffic = startTraffic({ gateways, keys: { good, key }, everyMs: 80 });
      await lasts(random.below(800));
      const by = random.pick([steady, random.pick(gateways)]);
      // A call that fails has said nothing.
      const returnedAtMs = await by.admin.revoke(project, id).then(nowMs, () => undefined);
      await lasts(400);
      await traffic.stop();
      answers.push(...traffic.answers);
      if (returnedAtMs === undefined) continue;
      revoked += 1;
      late.push(
        ...traffic.answers.filter((it) => it.key === 'key' && it.startedAtMs >= returnedAtMs),
      );
    }
  }

  await Promise.all([revokeAll(), revokeAll(), ...troubled]);
  expect(revoked).toBeGreaterThan(0);
  expectNone(late, 200, 0);
  expectNone(answers.filter(named('good')), 401, 0);
});
