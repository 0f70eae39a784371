/** What a client sees of a gateway whose Redis, PostgreSQL or both are away: measured. */
import type { Cluster, Member } from '../test/harness/cluster.ts';
import { getText, http } from '../test/harness/http-client.ts';
import { makeExport } from '../test/harness/make-export.ts';
import { markdownTable } from './table.ts';

type Away = {
  readonly redis: 'up' | 'stopped' | 'hung';
  readonly store: 'up' | 'stopped' | 'hung';
};

export type OutageRow = Away & {
  readonly known: string;
  readonly fresh: string;
  readonly freshLater: string;
};

const outages: readonly Away[] = [
  { redis: 'up', store: 'up' },
  { redis: 'stopped', store: 'up' },
  { redis: 'hung', store: 'up' },
  { redis: 'up', store: 'stopped' },
  { redis: 'up', store: 'hung' },
  { redis: 'stopped', store: 'stopped' },
  { redis: 'hung', store: 'hung' },
];

/** Long enough for the lease to pass, and to see what comes after it. */
const watchMs = 3000;
const stepMs = 10;

type Place = { readonly project: string; readonly agentId: string };

export async function measureOutages(cluster: Cluster, place: Place): Promise<OutageRow[]> {
  const rows: OutageRow[] = [];
  for (const away of outages) {
    console.error(`outage: Redis ${away.redis}, PostgreSQL ${away.store}`);
    rows.push(await measureOutage(cluster, place, away));
  }
  return rows;
}

async function measureOutage(cluster: Cluster, place: Place, away: Away): Promise<OutageRow> {
  const maker = cluster.members[0] as Member;
  const key = async () => {
    const made = await maker.admin.createKey(place.project, {
      name: 'outage',
      agents: [place.agentId],
    });
    return made.key;
  };
  const [known, fresh, freshLater] = [await key(), await key(), await key()];
  // Another gateway has used it, so Redis has it.
  for (const used of [fresh, freshLater]) await ask(maker, used);
  const member = await cluster.join({ sets: ['delivery.mode=memory'] });
  for (let count = 0; count < 20; count += 1) await ask(member, known);
  await begin(cluster, away);
  try {
    const beganAtMs = performance.now();
    const first = await ask(member, fresh);
    const seen: Asked[] = [];
    while (performance.now() - beganAtMs < watchMs) {
      seen.push({ ...(await ask(member, known)), atMs: performance.now() - beganAtMs });
      await new Promise((resolve) => setTimeout(resolve, stepMs));
    }
    const late = await ask(member, freshLater);
    return { ...away, known: runs(seen), fresh: once(first), freshLater: once(late) };
  } finally {
    await end(cluster, away);
    member.process.signal('SIGKILL');
    await member.process.exited;
    while ((await ask(maker, known)).status !== 200 || !(await hasRedis(maker)));
  }
}

async function hasRedis({ process }: Member): Promise<boolean> {
  return /^mibo_gateway_redis_up 1$/m.test(await getText(process.ports.metrics, '/metrics'));
}

async function begin({ redis, postgres }: Cluster, away: Away): Promise<void> {
  if (away.redis === 'stopped') await redis.stop();
  if (away.redis === 'hung') redis.pause();
  if (away.store === 'stopped') await postgres.stop();
  if (away.store === 'hung') await postgres.pause();
}

async function end({ redis, postgres }: Cluster, away: Away): Promise<void> {
  if (away.store === 'stopped') await postgres.start();
  if (away.store === 'hung') await postgres.resume();
  if (away.redis === 'stopped') await redis.start();
  if (away.redis === 'hung') redis.resume();
}

type Asked = { readonly status: number; readonly tookMs: number; readonly atMs: number };

const body = makeExport({}).proto;

async function ask({ process }: Member, key: string): Promise<Asked> {
  const atMs = performance.now();
  const { status } = await http({
    port: process.ports.http,
    headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', key],
    body,
  });
  return { status, tookMs: performance.now() - atMs, atMs };
}

const once = ({ status, tookMs }: Asked) => `${status} in ${tookMs.toFixed(0)} ms`;

/** `200 (max 3 ms); from 1.0 s on 503 (max 6 ms)`. */
function runs(seen: readonly Asked[]): string {
  const found: { status: number; fromMs: number; maxMs: number }[] = [];
  for (const { status, atMs, tookMs } of seen) {
    const last = found.at(-1);
    if (last?.status === status) last.maxMs = Math.max(last.maxMs, tookMs);
    else found.push({ status, fromMs: atMs - tookMs, maxMs: tookMs });
  }
  return found
    .map(({ status, fromMs, maxMs }, index) => {
      const from = index === 0 ? '' : `from ${(fromMs / 1000).toFixed(1)} s on `;
      return `${from}${status} (max ${maxMs.toFixed(0)} ms)`;
    })
    .join('; ');
}

export function outageTable(rows: readonly OutageRow[]): string {
  return markdownTable([
    ['Redis', 'PostgreSQL', 'known key', 'key new to this gateway', 'the same after 3 s'],
    ...rows.map(({ redis, store, known, fresh, freshLater }) => [
      redis,
      store,
      known,
      fresh,
      freshLater,
    ]),
  ]);
}
