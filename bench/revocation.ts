/**
 * `npm run bench:revocation`: three gateways on one PostgreSQL and one Redis, steady traffic of
 * every key at every gateway, and keys revoked under it; with Redis up, stopped and hung.
 *
 *   --revokes N   for each state of Redis (200)
 *   --rate N      requests a second, all gateways together (2000)
 *   --out FILE    also writes the figures there, e.g. docs/revocation.md
 *
 * Exit code: 0 measured, and nothing was accepted after its revoke had returned; 1 something was;
 * 2 wrong usage.
 */
import { parseArgs } from 'node:util';
import { type Cluster, startCluster } from '../test/harness/cluster.ts';
import { type Child, startChild } from './child.ts';
import { originText, writeFigures } from './figures.ts';
import { measureOutages, type OutageRow, outageTable } from './outage-table.ts';
import { agentIds } from './payloads.ts';
import { quantile } from './quantile.ts';
import type { Recorded, SteadyCalls } from './steady-load.ts';
import { markdownTable } from './table.ts';

type Options = {
  readonly revokes: number;
  readonly requestsPerSecond: number;
  readonly out: string | undefined;
};

/** What became of one revoked key. Unix milliseconds. */
type Revoked = {
  readonly callMs: number;
  /** Accepted requests that were started after the call had returned. */
  readonly late: number;
  /** From the commit to the start of the last request that was accepted; 0 if that came before. */
  readonly lastStartedMs: number;
  /** The same, to its answer: it was accepted somewhere in between. */
  readonly lastAnsweredMs: number;
};

type State = {
  readonly name: string;
  begin(cluster: Cluster): void | Promise<void>;
  end(cluster: Cluster): void | Promise<void>;
};

type Result = {
  readonly state: string;
  readonly revoked: readonly Revoked[];
  readonly requests: readonly Recorded[];
  readonly requestsPerSecond: number;
};

const project = 'bench';
/** Revoked at once: each call takes as long as the lease. */
const groupSize = 20;
const warmupMs = 700;
const afterMs = 400;

const states: readonly State[] = [
  { name: 'up', begin() {}, end() {} },
  {
    name: 'stopped',
    begin: ({ redis }) => redis.stop(),
    end: ({ redis }) => redis.start(),
  },
  { name: 'hung', begin: ({ redis }) => redis.pause(), end: ({ redis }) => redis.resume() },
];

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      revokes: { type: 'string', default: '200' },
      rate: { type: 'string', default: '2000' },
      out: { type: 'string' },
    },
  });
  const [revokes, requestsPerSecond] = [Number(values.revokes), Number(values.rate)];
  if (!(revokes >= 1 && requestsPerSecond >= 1)) throw new TypeError('numbers start at 1');
  return { revokes, requestsPerSecond, out: values.out };
}

async function measureState(
  cluster: Cluster,
  load: Child<SteadyCalls>,
  { state, options }: { readonly state: State; readonly options: Options },
): Promise<Result> {
  const result = { revoked: [] as Revoked[], requests: [] as Recorded[], seconds: 0 };
  await state.begin(cluster);
  try {
    for (let left = options.revokes; left > 0; left -= groupSize) {
      const count = Math.min(groupSize, left);
      const group = await measureGroup(cluster, load, { count, options });
      result.revoked.push(...group.revoked);
      for (const request of group.requests) result.requests.push(request);
      result.seconds += group.seconds;
      console.error(`Redis ${state.name}: ${result.revoked.length} of ${options.revokes} revoked`);
    }
  } finally {
    await state.end(cluster);
  }
  const { revoked, requests, seconds } = result;
  return { state: state.name, revoked, requests, requestsPerSecond: requests.length / seconds };
}

type Group = { readonly count: number; readonly options: Options };

async function measureGroup(
  { members, sink }: Cluster,
  load: Child<SteadyCalls>,
  { count, options }: Group,
) {
  const [first] = members;
  const agents = [agentIds[0]];
  const made = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      first?.admin.createKey(project, { name: `key ${index}`, agents }),
    ),
  );
  const keys = made.filter((key) => key !== undefined);
  const gateways = members.map(({ process: { ports } }) => ({
    grpcPort: ports.grpc,
    httpPort: ports.http,
  }));
  const { requestsPerSecond } = options;
  const beganAtMs = performance.now();
  await load.call('start', { gateways, apiKeys: keys.map(({ key }) => key), requestsPerSecond });
  await pause(warmupMs);
  const calls = await Promise.all(
    keys.map(async ({ id }, index) => {
      const calledAtMs = nowMs();
      await members[index % members.length]?.admin.revoke(project, id);
      return { id, calledAtMs, returnedAtMs: nowMs() };
    }),
  );
  await pause(afterMs);
  const { requests } = await load.call('stop');
  sink.received.length = 0;
  const seconds = (performance.now() - beganAtMs) / 1000;
  const revoked = await Promise.all(
    calls.map(async ({ id, calledAtMs, returnedAtMs }, index) => {
      const accepted = requests.filter(({ key, accepted }) => key === index && accepted);
      if (accepted.length === 0) throw new Error('a key was not accepted before it was revoked');
      const committedAtMs = await committedAt(members[0], id);
      const since = (times: readonly number[]) => Math.max(0, Math.max(...times) - committedAtMs);
      return {
        callMs: returnedAtMs - calledAtMs,
        late: accepted.filter(({ startedAtMs }) => startedAtMs >= returnedAtMs).length,
        lastStartedMs: since(accepted.map((it) => it.startedAtMs)),
        lastAnsweredMs: since(accepted.map((it) => it.answeredAtMs)),
      };
    }),
  );
  return { revoked, requests, seconds };
}

/** As the audit has it: the clock of PostgreSQL, on the same machine. */
async function committedAt(member: Cluster['members'][number] | undefined, id: string) {
  const page = await member?.admin.call('GET', `/audit?subject=${id}`);
  const entries = page?.items as readonly { action: string; at: string }[];
  const entry = entries.find(({ action }) => action === 'key.revoke');
  return Date.parse(entry?.at ?? '');
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function revocationTable(results: readonly Result[]): string {
  const ms = (value: number) => value.toFixed(0);
  const rows = results.map(({ state, revoked, requests, requestsPerSecond }) => {
    const started = revoked.map(({ lastStartedMs }) => lastStartedMs);
    const answered = revoked.map(({ lastAnsweredMs }) => lastAnsweredMs);
    const call = revoked.map(({ callMs }) => callMs);
    return [
      state,
      String(revoked.length),
      requests.length.toLocaleString('en'),
      requestsPerSecond.toFixed(0),
      String(revoked.reduce((sum, { late }) => sum + late, 0)),
      ...[0.5, 0.99, 1].map((share) => ms(quantile(started, share))),
      ms(quantile(answered, 1)),
      ...[0.5, 1].map((share) => ms(quantile(call, share))),
    ];
  });
  const heads = [
    'Redis',
    'keys revoked',
    'requests',
    'a second',
    'accepted after the call returned',
    'commit → start of the last accepted, p50 ms',
    'p99 ms',
    'max ms',
    'to its answer, max ms',
    'the call took, p50 ms',
    'max ms',
  ];
  return markdownTable([heads, ...rows]);
}

/** Everything that was answered, by state of Redis: that no refusal was a fault shows here. */
function statusTable(results: readonly Result[]): string {
  const rows = results.map(({ state, requests }) => {
    const counts = new Map<string, number>();
    for (const { status } of requests) counts.set(status, (counts.get(status) ?? 0) + 1);
    const shown = [...counts].sort().map(([status, count]) => `${status} × ${count}`);
    return `- Redis ${state}: ${shown.join(', ')}`;
  });
  return rows.join('\n');
}

async function measure(options: Options): Promise<[readonly Result[], readonly OutageRow[]]> {
  const cluster = await startCluster({ sets: ['delivery.mode=memory'] });
  const load = startChild<SteadyCalls>('steady-load.ts', 'load');
  try {
    await cluster.operator.registry.project(project);
    for (const [index, id] of agentIds.entries()) {
      await cluster.operator.registry.agent(project, { id, name: `Agent ${index + 1}` });
    }
    // The first group finds gateways that have compiled nothing yet; it does not count.
    await measureGroup(cluster, load, { count: groupSize, options });
    const results: Result[] = [];
    for (const state of states) results.push(await measureState(cluster, load, { state, options }));
    return [results, await measureOutages(cluster, { project, agentId: agentIds[0] })];
  } finally {
    load.stop();
    await cluster.close();
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  const [results, outages] = await measure(options);
  const command = ['npm run bench:revocation --', ...process.argv.slice(2)].join(' ');
  const text = `${originText(command)}

${revocationTable(results)}

Answers in all (gRPC status 16 is UNAUTHENTICATED):

${statusTable(results)}

What a client sees while servers are away:

${outageTable(outages)}`;
  console.log(text);
  if (options.out !== undefined) writeFigures(options.out, 'revocation', text);
  const late = results.flatMap(({ revoked }) => revoked).filter((revoked) => revoked.late > 0);
  return late.length > 0 ? 1 : 0;
}

try {
  // Ended here: with worker processes gone, Node may still look for what is left to close.
  process.exit(await main());
} catch (thrown) {
  if (!(thrown instanceof TypeError)) throw thrown;
  console.error(`usage: npm run bench:revocation -- [options]; see bench/revocation.ts: ${thrown}`);
  process.exitCode = 2;
}
