/**
 * `npm run bench:keys`: what very many keys cost, and what strangers with random keys can do.
 *
 *   --keys N      keys in PostgreSQL (1000000)
 *   --cached N    keys in a gateway's memory (100000)
 *   --random N    requests with keys that do not exist (1000000)
 *   --out FILE    also writes the figures there, e.g. docs/revocation.md
 *
 * Exit code: 0 measured, 1 a valid key was refused or Redis grew, 2 wrong usage.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Cluster, type Member, startCluster } from '../test/harness/cluster.ts';
import { benchKey, insertKeys } from './bench-keys.ts';
import { startChild } from './child.ts';
import { originText, writeFigures } from './figures.ts';
import type { KeyCacheCalls, KeyCacheCost } from './key-cache-cost.ts';
import type { ManyKeys, ManyKeysCalls, ManyKeysResult } from './many-keys-load.ts';
import { agentIds } from './payloads.ts';
import { quantile } from './quantile.ts';
import { median } from './statistics.ts';
import type { SteadyCalls } from './steady-load.ts';
import { markdownTable } from './table.ts';

type Options = {
  readonly keys: number;
  readonly cached: number;
  readonly random: number;
  readonly out: string | undefined;
};

const project = 'bench';
const fewKeys = 1000;
const starts = 5;
const connections = 8;
const proberPerSecond = 200;
const probeMs = 10_000;

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      keys: { type: 'string', default: '1000000' },
      cached: { type: 'string', default: '100000' },
      random: { type: 'string', default: '1000000' },
      out: { type: 'string' },
    },
  });
  const read = (text: string) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < fewKeys) throw new TypeError(`at least ${fewKeys}`);
    return value;
  };
  const [keys, cached, random] = [read(values.keys), read(values.cached), read(values.random)];
  if (cached > keys) throw new TypeError('no more keys in memory than in PostgreSQL');
  return { keys, cached, random, out: values.out };
}

type Figures = {
  readonly startFewMs: number;
  readonly startManyMs: number;
  readonly cost: KeyCacheCost;
  readonly hot: ManyKeysResult;
  readonly load: ManyKeysResult;
  readonly all: ManyKeysResult;
  readonly rssMib: { readonly before: number; readonly after: number };
  readonly random: RandomFigures;
};

type RandomFigures = {
  readonly result: ManyKeysResult;
  readonly dbSize: readonly [number, number];
  readonly redisBytes: readonly [number, number];
  readonly rssMib: readonly [number, number];
  readonly p99Ms: { readonly before: number; readonly during: number; readonly after: number };
  /** Their statuses. */
  readonly validRefused: readonly string[];
};

async function measure(options: Options): Promise<Figures> {
  const cluster = await startCluster({ gateways: 0, sets: ['delivery.mode=memory'] });
  const many = startChild<ManyKeysCalls>('many-keys-load.ts', 'load');
  const costs = startChild<KeyCacheCalls>('key-cache-cost.ts', 'server');
  const steady = startChild<SteadyCalls>('steady-load.ts', 'load');
  const forget = setInterval(() => {
    cluster.sink.received.length = 0;
  }, 1000);
  try {
    const { registry } = cluster.operator;
    const { id: projectId } = await registry.project(project);
    for (const [index, id] of agentIds.entries()) {
      await registry.agent(project, { id, name: `Agent ${index + 1}` });
    }
    const { databaseUrl } = cluster;
    await insertKeys(databaseUrl, { projectId, from: 0, to: fewKeys - 1 });
    const startFewMs = await startTime(cluster);
    console.error(`inserting ${options.keys} keys`);
    await insertKeys(databaseUrl, { projectId, from: fewKeys, to: options.keys - 1 });
    const startManyMs = await startTime(cluster);
    console.error('cost of a key in memory');
    const cost = await costs.call('measure', { databaseUrl, keys: options.cached });
    const member = await cluster.join();
    const { http: port } = member.process.ports;
    const run = (load: Pick<ManyKeys, 'requests' | 'keys'>) =>
      many.call('run', { port, connections, ...load });
    console.error('one key, then very many');
    const one = { keys: { first: 0, count: 1 }, requests: options.cached } as const;
    await run(one);
    const hot = await run(one);
    const before = rssMib(member);
    const each = { keys: { first: 0, count: options.cached }, requests: options.cached } as const;
    const load = await run(each);
    const after = rssMib(member);
    const all = await run(each);
    const random = await measureRandom(cluster, { member, steady, run, options });
    return {
      ...{ startFewMs, startManyMs, cost, hot, load, all, random },
      rssMib: { before, after },
    };
  } finally {
    clearInterval(forget);
    for (const child of [many, costs, steady]) child.stop();
    await cluster.close();
  }
}

/** From the start of the process to the line that says ready; the median. */
async function startTime(cluster: Cluster): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < starts; count += 1) {
    const beganAtMs = performance.now();
    const member = await cluster.join();
    times.push(performance.now() - beganAtMs);
    await member.process.stop();
  }
  return median(times);
}

type RandomRun = {
  readonly member: Member;
  readonly steady: ReturnType<typeof startChild<SteadyCalls>>;
  run(load: Pick<ManyKeys, 'requests' | 'keys'>): Promise<ManyKeysResult>;
  readonly options: Options;
};

async function measureRandom(cluster: Cluster, random: RandomRun): Promise<RandomFigures> {
  const { member, steady, run, options } = random;
  const { grpc: grpcPort, http: httpPort } = member.process.ports;
  const validRefused: string[] = [];
  /** The p99 of a valid key while `work` goes on. */
  const probed = async (work: Promise<unknown>): Promise<number> => {
    const gateways = [{ grpcPort, httpPort }];
    const requestsPerSecond = proberPerSecond;
    await steady.call('start', { gateways, apiKeys: [benchKey(1)], requestsPerSecond });
    await work;
    const { requests } = await steady.call('stop');
    for (const { accepted, status } of requests) if (!accepted) validRefused.push(status);
    return quantile(
      requests.map(({ startedAtMs, answeredAtMs }) => answeredAtMs - startedAtMs),
      0.99,
    );
  };
  const quiet = () => new Promise((resolve) => setTimeout(resolve, probeMs));
  const size = async () => ({
    keys: Number(await cluster.redis.command('DBSIZE')),
    bytes: Number(/used_memory:(\d+)/.exec(String(await cluster.redis.command('INFO')))?.[1]),
    rss: rssMib(member),
  });
  // What is in it now would go by itself meanwhile, each record after its time.
  await cluster.redis.command('FLUSHALL');
  const before = await probed(quiet());
  const sizeBefore = await size();
  console.error(`${options.random} random keys`);
  let result: ManyKeysResult | undefined;
  const during = await probed(
    run({ keys: 'random', requests: options.random }).then((it) => {
      result = it;
    }),
  );
  const sizeAfter = await size();
  const after = await probed(quiet());
  return {
    result: result as ManyKeysResult,
    dbSize: [sizeBefore.keys, sizeAfter.keys],
    redisBytes: [sizeBefore.bytes, sizeAfter.bytes],
    rssMib: [sizeBefore.rss, sizeAfter.rss],
    p99Ms: { before, during, after },
    validRefused,
  };
}

function rssMib({ process: { pid } }: Member): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function render(options: Options, figures: Figures): string {
  const { cost, hot, load, all, rssMib: rss, random } = figures;
  const perKey = ((rss.after - rss.before) * 1024 * 1024) / options.cached;
  const statuses = Object.entries(random.result.statuses).sort();
  const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
  return markdownTable([
    ['What', 'Measured'],
    ['a look-up of a known key, hashing included', `${cost.lookupMicros.toFixed(2)} µs`],
    ['memory of a known key (heap, in one process)', `${count(cost.bytesPerKey)} bytes`],
    [
      `RSS of a gateway, 1 key → ${count(options.cached)} keys in memory`,
      `${rss.before.toFixed(0)} → ${rss.after.toFixed(0)} MiB (${count(perKey)} bytes a key)`,
    ],
    [
      `p99 at full load, 1 key / ${count(options.cached)} known keys in turn`,
      `${hot.p99Ms.toFixed(1)} / ${all.p99Ms.toFixed(1)} ms`,
    ],
    [
      `p99 at full load, each request with a key new to the gateway`,
      `${load.p99Ms.toFixed(1)} ms (${count(load.requestsPerSecond)} requests/s)`,
    ],
    [
      `start to ready, ${count(fewKeys)} / ${count(options.keys)} keys in PostgreSQL`,
      `${count(figures.startFewMs)} / ${count(figures.startManyMs)} ms`,
    ],
    [
      `${count(options.random)} requests with random keys`,
      statuses.map(([status, times]) => `${status} × ${count(times)}`).join(', '),
    ],
    [
      'keys in Redis, its memory: before → after them',
      `${random.dbSize.join(' → ')}, ${random.redisBytes.map(mib).join(' → ')} MiB`,
    ],
    [
      'RSS of the gateway: before → after them',
      `${random.rssMib.map((it) => it.toFixed(0)).join(' → ')} MiB`,
    ],
    [
      'p99 of a valid key: before / during (gateway at full load) / after them',
      `${Object.values(random.p99Ms)
        .map((it) => it.toFixed(1))
        .join(' / ')} ms, refused: ${random.validRefused.join(', ') || 'none'}`,
    ],
  ]);
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    console.error('run it on Linux: memory is read from /proc, which other systems do not have');
    return 2;
  }
  const options = readOptions();
  const figures = await measure(options);
  const command = ['npm run bench:keys --', ...process.argv.slice(2)].join(' ');
  const text = `${originText(command)}\n\n${render(options, figures)}`;
  console.log(text);
  if (options.out !== undefined) writeFigures(options.out, 'keys', text);
  const { random } = figures;
  // The valid key and its project may be read anew meanwhile: two records.
  const grew = random.dbSize[1] > random.dbSize[0] + 2;
  return random.validRefused.length > 0 || grew ? 1 : 0;
}

try {
  // Ended here: with worker processes gone, Node may still look for what is left to close.
  process.exit(await main());
} catch (thrown) {
  if (!(thrown instanceof TypeError)) throw thrown;
  console.error(
    `usage: npm run bench:keys -- [options]; see bench/key-store.ts. ${thrown.message}`,
  );
  process.exitCode = 2;
}
