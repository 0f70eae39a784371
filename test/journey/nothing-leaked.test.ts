/**
 * A key is a secret: after every kind of use and misuse it is nowhere to be read, neither in the
 * logs at their most talkative, nor on disk, nor in the counters, nor in an answer. Nor is the
 * token for the downstream.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { exportPath, framed, grpcClient } from '../harness/grpc-client.ts';
import { getText, type HttpAnswer, http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { registryOf } from '../harness/registry.ts';
import { acceptAll, type Sink, startSink } from '../harness/sink.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const imported = 'mibo_imported000000000000000000000secret';
const unknown = 'mibo_unknown0000000000000000000000secret';
const downstreamToken = 'downstream-token-0123456789';

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
/** Everything secret that was ever used. */
const secrets: string[] = [unknown, imported, downstreamToken];
/** Everything that came back, with where it came from. */
const answers: [string, string][] = [];

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  const all = await registry.key('Support', { name: 'all' });
  const one = await registry.key('Support', { name: 'one', agents: [support] });
  const brief = await registry.key('Support', { name: 'brief', expires: '1s' });
  const gone = await registry.key('Support', { name: 'gone' });
  await registry.key('Support', { name: 'imported', existing: imported });
  await registry.revoke(gone.id);
  secrets.push(all.key, one.key, brief.key, gone.key);
  gateway = await workspace.start(
    'telemetry.logs.level=trace',
    'delivery.mode=memory',
    `downstream.headers.authorization=Bearer ${downstreamToken}`,
  );
  for (const key of secrets) await workOut(key);
  await misuseCommands(one.id, one.key);
  for (const page of ['/metrics', '/']) {
    answers.push([`metrics ${page}`, await getText(gateway.ports.metrics, page)]);
  }
  answers.push(['health', await getText(gateway.ports.health, '/readyz')]);
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

function keep(where: string, answer: HttpAnswer): void {
  const { status, reason, headers, body } = answer;
  answers.push([where, `${status} ${reason}\n${JSON.stringify(headers)}\n${body}`]);
}

/** One key, in every place where people put it, right and wrong. */
async function workOut(key: string): Promise<void> {
  const json = ['Content-Type', 'application/json'];
  const good = makeExport({ platformId: support });
  const posts: [string, string, readonly string[], string | Buffer][] = [
    // First of its kind: the log leaves out repetitions.
    ['as the target', '/v1/traces', ['x-api-key', key], makeExport({ platformId: key }).json],
    ['used', '/v1/traces', ['x-api-key', key], good.json],
    ['bearer', '/v1/traces', ['Authorization', `Bearer ${key}`], good.json],
    ['quoted', '/v1/traces', ['x-api-key', `"${key}"`], good.json],
    ['bearer in x-api-key', '/v1/traces', ['x-api-key', `Bearer ${key}`], good.json],
    ['with %20', '/v1/traces', ['x-api-key', `%20${key}`], good.json],
    ['name pasted too', '/v1/traces', ['x-api-key', `x-api-key=${key}`], good.json],
    ['twice', '/v1/traces', ['x-api-key', key, 'x-api-key', unknown], good.json],
    ['two that differ', '/v1/traces', ['x-api-key', key, 'Authorization', unknown], good.json],
    ['in the query', `/v1/traces?x-api-key=${key}`, [], good.json],
    ['in the path', `/${key}`, ['x-api-key', key], good.json],
    ['malformed', '/v1/traces', ['x-api-key', key], `{"resourceSpans":"${key}"}`],
    ['no target', '/v1/traces', ['x-api-key', key], makeExport({}).json],
    [
      'in the platform header',
      '/v1/traces',
      ['x-api-key', key, 'x-mibo-platform-id', key],
      good.json,
    ],
    ['odd encoding', '/v1/traces', ['x-api-key', key, 'Content-Encoding', key], good.json],
    ['your api', '/public/traces', ['x-api-key', key], '{"spans":[]}'],
    [
      'your api, as the target',
      '/public/traces',
      ['x-api-key', key],
      `{"platformId":"${key}","spans":[]}`,
    ],
    ['your api, malformed', '/public/traces', ['x-api-key', key], `{"spans":${key}`],
    ['odd type', '/v1/traces', ['x-api-key', key, 'X-Other', key], 'a'],
  ];
  for (const [name, path, headers, body] of posts) {
    const call = { port: gateway.ports.http, path, headers: [...json, ...headers], body };
    keep(`${name}: ${key.slice(-4)}`, await http(call));
  }
  sink.answer = () => ({ status: 400, body: 'refused' });
  keep(
    'refused',
    await http({ port: gateway.ports.http, headers: [...json, 'x-api-key', key], body: good.json }),
  );
  sink.answer = acceptAll;
  const grpc = grpcClient(gateway.ports.grpc);
  for (const headers of [
    ['x-api-key', key],
    ['authorization', `Bearer ${key}`],
  ]) {
    for (const path of [exportPath, `/${key}/Export`]) {
      for (const body of [framed(good.proto), framed(Buffer.from(key))]) {
        const { fields } = await grpc.call({ path, headers, body });
        const details = Buffer.from(fields['grpc-status-details-bin'] ?? '', 'base64').toString();
        answers.push([`grpc ${path}`, JSON.stringify(fields) + details]);
      }
    }
  }
  grpc.close();
}

/** Commands print a key when it is made and never again. */
async function misuseCommands(id: string, key: string): Promise<void> {
  for (const args of [
    ['keys', 'list'],
    ['keys', 'list', '--json'],
    ['keys', 'show', id],
    ['keys', 'show', id, '--json'],
    ['keys', 'show', key],
    ['keys', 'revoke', key],
    ['print-config', '--set', `auth.passthrough.api_key=${key}`],
    ['print-config', '--set', `downstream.headers.authorization=Bearer ${downstreamToken}`],
    ['validate', '--set', `auth.passthrough.api_key=" ${key}"`],
  ]) {
    const { stdout, stderr } = await workspace.command(args);
    const shown = args.map((part) => part.replaceAll(key, '<key>').replaceAll(downstreamToken, ''));
    answers.push([shown.join(' '), stdout + stderr]);
  }
  const again = await workspace.command(
    ['keys', 'import', '--project', 'Support', '--name', 'again'],
    imported,
  );
  expect(again.code).toBe(1);
  answers.push(['keys import', again.stdout + again.stderr]);
}

test('no answer and no command repeats a secret', () => {
  expect(answers.length).toBeGreaterThan(150);
  const leaks = answers.filter(([, text]) => secrets.some((secret) => text.includes(secret)));
  expect(leaks).toEqual([]);
});

test('no log line holds one, at the level trace', () => {
  const lines = gateway.logs().split('\n');
  expect(lines.length).toBeGreaterThan(10);
  const leaks = lines.filter((line) => secrets.some((secret) => line.includes(secret)));
  expect(leaks).toEqual([]);
});

test('no file holds one', async () => {
  await gateway.stop();
  const files = readdirSync(workspace.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(files.some((file) => file.endsWith('keys.db'))).toBe(true);
  const leaks = files.filter((file) => {
    const content = readFileSync(file);
    return secrets.some((secret) => content.includes(secret));
  });
  expect(leaks).toEqual([]);
});

test('the downstream gets its own token and never a key', () => {
  expect(sink.received.length).toBeGreaterThan(0);
  for (const { headers, body } of sink.received) {
    expect(headers.authorization).toBe(`Bearer ${downstreamToken}`);
    expect(headers).not.toHaveProperty('x-api-key');
    const shown = JSON.stringify(headers) + body.toString('latin1');
    expect(secrets.filter((it) => it !== downstreamToken && shown.includes(it))).toEqual([]);
  }
});
