/**
 * Nobody who gets hold of Redis, of the database, of logs, metrics, admin answers or of a gateway's
 * memory gets a key: it is there while a request with it is under way, and nowhere else.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { globalAgent } from 'node:http';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminToken, type Cluster, type Member, startCluster } from '../harness/cluster.ts';
import { envelopeDoors, miboRefusal, otlpDoors, sendExport } from '../harness/doors.ts';
import { type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { getText, http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';

const project = 'Support';
const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const other = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const imported = 'mibo_imported000000000000000000000secret';

let cluster: Cluster;
let first: Member;
/** Every key that was ever used, by what became of it. */
const keys: Record<string, string> = { imported };

beforeAll(async () => {
  cluster = await startCluster({
    gateways: 2,
    sets: ['telemetry.logs.level=trace'],
    environment: { NODE_OPTIONS: '--heapsnapshot-signal=SIGUSR2' },
  });
  first = cluster.members[0] as Member;
  const { registry } = cluster.operator;
  await registry.project(project);
  await registry.agent(project, { id: support, name: 'Support bot' });
  await registry.agent(project, { id: other, name: 'Sales bot' });
  await makeKeys();
  for (const member of cluster.members) {
    for (const key of Object.values(keys)) await workOut(member, key);
  }
});

afterAll(() => cluster?.close());

/** One of each kind, made in each way. */
async function makeKeys(): Promise<void> {
  const path = `/projects/${project}/api-keys`;
  const make = (body: object) => first.admin.call('POST', path, body);
  const all = await make({ name: 'all' });
  const one = await make({ name: 'one', agents: [support] });
  const gone = await make({ name: 'gone' });
  const rotated = await first.admin.call('POST', `${path}/${one.id}/rotate`, { grace: '24h' });
  await make({ name: 'imported', key: imported });
  await first.admin.revoke(project, gone.id as string);
  const byCommand = await cluster.operator.registry.key(project, { name: 'by command' });
  Object.assign(keys, {
    all: all.key,
    one: one.key,
    gone: gone.key,
    successor: rotated.key,
    byCommand: byCommand.key,
    unknown: 'mibo_unknown0000000000000000000000secret',
  });
}

/** At every door, accepted and refused, and where people put it by mistake. */
async function workOut({ process }: Member, key: string): Promise<void> {
  const grpc: GrpcClient = grpcClient(process.ports.grpc);
  const gate = { grpc, httpPort: process.ports.http };
  const bodies = [makeExport({ platformId: support }), makeExport({ platformId: other })];
  for (const door of [...otlpDoors, ...envelopeDoors]) {
    for (const body of [...bodies, makeExport({})]) {
      for (const headers of [
        ['x-api-key', key],
        ['Authorization', `Bearer ${key}`],
        ['x-api-key', `"${key}"`],
      ]) {
        const { status } = await sendExport(gate, { door, body, headers });
        expect([200, 400, 401, 403]).toContain(status);
      }
    }
  }
  const flat = await http({
    port: gate.httpPort,
    path: `/public/traces?key=${key}`,
    headers: ['Content-Type', 'application/json', 'x-api-key', key],
    body: `{"spans":[],"platformId":"${support}"}`,
  });
  if (flat.status !== 201) expect([401, 403]).toContain(miboRefusal(flat).status);
  grpc.close();
}

function expectNowhere(text: Buffer | string, where: string): void {
  const found = Object.entries(keys).filter(([, key]) => text.includes(key));
  expect(
    found.map(([name]) => name),
    where,
  ).toEqual([]);
}

test('not in Redis', async () => {
  const { redis } = cluster;
  const names = (await redis.command('KEYS', '*')) as string[];
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    expectNowhere(name, name);
    const type = await redis.command('TYPE', name);
    const [command, ...args] = type === 'string' ? ['GET'] : ['HGETALL'];
    const value = await redis.command(command as string, name, ...args);
    expectNowhere(JSON.stringify(value), `${type} ${name}`);
  }
});

test('not in the database, neither in a row nor in a file of the server', async () => {
  const client = new Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  const tables = await client.query<{ name: string }>(
    `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name
     FROM information_schema.tables WHERE table_schema NOT LIKE 'pg\\_%'
     AND table_type = 'BASE TABLE' AND table_schema <> 'information_schema'`,
  );
  expect(tables.rows.length).toBeGreaterThan(5);
  for (const { name } of tables.rows) {
    const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
    expectNowhere(rows.map(({ row }) => row).join('\n'), name);
  }
  await client.query('CHECKPOINT');
  await client.end();
  const files = readdirSync(cluster.postgres.dataFolder, { recursive: true, withFileTypes: true });
  for (const file of files.filter((it) => it.isFile())) {
    const path = join(file.parentPath, file.name);
    expectNowhere(readFileSync(path), path);
  }
});

test('not in a log at the level trace, not in metrics', async () => {
  for (const { process } of cluster.members) {
    const lines = process.logs().split('\n');
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) expectNowhere(line, line);
    expectNowhere(await getText(process.ports.metrics, '/metrics'), 'metrics');
  }
});

test('not in an answer of the admin API', async () => {
  const base = `/projects/${project}`;
  const listed = await first.admin.call('GET', `${base}/api-keys`);
  const ids = (listed.items as { id: string }[]).map(({ id }) => id);
  expect(ids.length).toBeGreaterThan(4);
  const paths = [
    ...['/projects', `${base}/agents`, `${base}/api-keys`, '/audit', '/status', '/openapi.json'],
    ...ids.flatMap((id) => [`${base}/api-keys/${id}`, `${base}/api-keys/${id}/rejections`]),
  ];
  for (const member of cluster.members) {
    for (const path of paths) {
      const text = JSON.stringify(await member.admin.call('GET', path));
      expectNowhere(text, path);
      expect(text, path).not.toContain(adminToken);
    }
  }
});

test('not in the memory of a gateway, once the connections are closed', async () => {
  const snapshots = () =>
    readdirSync(cluster.folder).filter((name) => name.endsWith('.heapsnapshot'));
  // A connection that is kept open keeps the head of its last request.
  globalAgent.destroy();
  for (const { name, process } of cluster.members) {
    const before = new Set(snapshots());
    // Answered after the gateway has seen the others close.
    await getText(process.ports.health, '/livez');
    process.signal('SIGUSR2');
    let made: string | undefined;
    // It is begun in one go between two requests, and written before the next one is answered.
    while (made === undefined) {
      await getText(process.ports.health, '/livez');
      made = snapshots().find((it) => !before.has(it));
    }
    await getText(process.ports.health, '/livez');
    const snapshot = readFileSync(join(cluster.folder, made));
    expect(snapshot.subarray(-20).toString().trimEnd().endsWith('}')).toBe(true);
    // What is known of a key is there: the search would find the key too.
    expect(snapshot.includes('by command')).toBe(true);
    expectNowhere(snapshot, name);
  }
});
