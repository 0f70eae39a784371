/**
 * The guarantee, from outside: when a revoke call has returned, no gateway accepts the key,
 * whatever becomes of Redis, of Pub/Sub or of a single gateway's links. Three gateways on one
 * PostgreSQL and one Redis, steady traffic over gRPC and HTTP, and a second key that has to go on
 * working.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { expectStatuses } from '../harness/expect-answers.ts';
import type { MadeKey } from '../harness/registry.ts';
import { type Answer, startTraffic, type Traffic } from '../harness/traffic.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';

let cluster: Cluster;
let first: Member;
let good: string;
let traffic: Traffic | undefined;

beforeAll(async () => {
  cluster = await startCluster();
  first = cluster.members[0] as Member;
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  good = (await newKey('good')).key;
});

afterAll(() => cluster?.close());

afterEach(async () => {
  await traffic?.stop();
  traffic = undefined;
});

function newKey(name: string): Promise<MadeKey> {
  return first.admin.createKey(project, { name, agents: [support] });
}

/** How an operator may revoke. Each resolves when the call has returned. */
const revokers = {
  'the command line': (id: string) => cluster.operator.registry.revoke(id),
  'the admin API of one gateway': (id: string) => first.admin.revoke(project, id),
} as const;
type Revoker = keyof typeof revokers;
const eachRevoker = Object.keys(revokers) as Revoker[];

type Fault = {
  readonly name: string;
  begin(revoker: Revoker): void | Promise<void>;
  end(): void | Promise<void>;
};

const faults: readonly Fault[] = [
  { name: 'everything is well', begin() {}, end() {} },
  {
    name: 'Redis is stopped',
    begin: () => cluster.redis.stop(),
    end: () => cluster.redis.start(),
  },
  {
    name: 'Redis hangs',
    begin: () => cluster.redis.pause(),
    end: () => cluster.redis.resume(),
  },
  {
    name: 'the network between the revoker and Redis is cut',
    begin: (revoker) => (revoker === 'the command line' ? cluster.operator : first).toRedis.cut(),
    end: () => cluster.heal(),
  },
  {
    name: 'the network between the revoker and Redis hangs',
    begin: (revoker) => (revoker === 'the command line' ? cluster.operator : first).toRedis.hang(),
    end: () => cluster.heal(),
  },
  {
    name: 'the network between another gateway and Redis is cut',
    begin: () => cluster.members[1]?.toRedis.cut(),
    end: () => cluster.heal(),
  },
  {
    name: 'the network between another gateway and Redis hangs',
    begin: () => cluster.members[1]?.toRedis.hang(),
    end: () => cluster.heal(),
  },
];

const cases = eachRevoker.flatMap((revoker) => faults.map((fault) => ({ revoker, fault })));

describe('nothing that starts after the revoke has returned is accepted', () => {
  test.for(cases)('by $revoker, while $fault.name', async ({ revoker, fault }) => {
    const { id, key } = await newKey('short-lived');
    traffic = startTraffic({ gateways: cluster.members, keys: { good, revoked: key } });
    expectStatuses(await traffic.more(3), 200);
    await fault.begin(revoker);
    try {
      expectStatuses(await traffic.more(2), 200);
      await revokers[revoker](id);
      expectRefused(await traffic.more(8));
    } finally {
      await fault.end();
    }
  });

  test('by a command that knows of no Redis, so that nothing is announced', async () => {
    const { id, key } = await newKey('short-lived');
    traffic = startTraffic({ gateways: cluster.members, keys: { good, revoked: key } });
    expectStatuses(await traffic.more(3), 200);
    const ran = await cluster.operator.command(['keys', 'revoke', id], 'auth.redis.url=');
    expect(ran.code, ran.stderr).toBe(0);
    expectRefused(await traffic.more(8));
  });

  test('twelve keys at once, by all gateways', async () => {
    const made = await Promise.all(
      Array.from({ length: 12 }, (_, index) => newKey(`short-lived ${index}`)),
    );
    const keys = Object.fromEntries(made.map(({ key }, index) => [`key ${index}`, key]));
    traffic = startTraffic({ gateways: cluster.members, keys, everyMs: 150 });
    expectStatuses(await traffic.more(2), 200);
    await Promise.all(
      made.map(({ id }, index) => cluster.members[index % 3]?.admin.revoke(project, id)),
    );
    expectStatuses(await traffic.more(3), 401);
  });
});

/** The good key went on working; every answer to the other one is a 401, never a fault. */
function expectRefused(late: readonly Answer[]): void {
  expectStatuses(
    late.filter(({ key }) => key === 'revoked'),
    401,
  );
  expectStatuses(
    late.filter(({ key }) => key === 'good'),
    200,
  );
}
