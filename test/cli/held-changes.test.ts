/** What a person sees of a change while others change things, and while they want to stop it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { bin, cleanEnvironment } from '../harness/command.ts';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';
import { createWaiting } from '../harness/waiting.ts';
import { createDesk, type Desk } from './run-cli.ts';

let postgres: PostgresServer;
let desk: Desk;
let sets: readonly string[];
let client: Client;
const children: ChildProcess[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  const url = await postgres.freshDatabase();
  const settings = ['auth.store.kind=postgres', `auth.store.url=${url}`];
  sets = settings.flatMap((setting) => ['--set', setting]);
  desk = createDesk();
  client = new Client({ connectionString: url });
  await client.connect();
  await json('projects', 'add', 'Acme');
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await client.query('ROLLBACK');
});
afterAll(async () => {
  await client.end();
  desk.close();
  await postgres.close();
});

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await desk.run([...args, ...sets, '--json']);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

async function newKey(): Promise<string> {
  return String((await json('keys', 'create', '--project', 'Acme', '--name', 'k')).id);
}

/** A command in a process of its own, and what it has written so far. */
function start(...args: readonly string[]) {
  const child = spawn(process.execPath, [bin, ...args, ...sets], {
    cwd: desk.folder,
    env: cleanEnvironment(),
  });
  children.push(child);
  const waiting = createWaiting();
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      waiting.look();
    });
  }
  return {
    child,
    written,
    said: (words: string) => waiting.until(() => written.stderr.includes(words)),
    ended: new Promise<number | null>((done) => child.on('close', done)),
  };
}

/** Nobody can touch a key until the client commits. */
async function holdKeys(): Promise<void> {
  await client.query('BEGIN; LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE');
}

async function seen(sql: string, values: readonly unknown[] = []): Promise<void> {
  while ((await client.query(sql, [...values])).rows.length === 0);
}

const waiterSql = "SELECT 1 FROM pg_locks WHERE relation = 'api_keys'::regclass AND NOT granted";

/** Interrupted while its change is under way; then the change may go on. */
async function interrupted(...args: readonly string[]) {
  await holdKeys();
  const command = start(...args);
  await seen(waiterSql);
  command.child.kill('SIGINT');
  await command.said('SIGINT');
  await client.query('COMMIT');
  return { code: await command.ended, ...command.written };
}

describe('the first Ctrl-C waits for the change', () => {
  const secret = /^mibo_\w{38}\n$/;

  test('of create, whose key is printed', async () => {
    const made = await interrupted('keys', 'create', '--project', 'Acme', '--name', 'k');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(secret) });
  });

  test('of rotate, whose key is printed', async () => {
    const rotated = await interrupted('keys', 'rotate', await newKey());
    expect(rotated).toMatchObject({ code: 0, stdout: expect.stringMatching(secret) });
  });

  test('of revoke, whose answer is seen', async () => {
    const { code, stdout, stderr } = await interrupted('keys', 'revoke', await newKey());
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^SIGINT: .*once more.*\nRevoked: no gateway accepts it any more/);
  });
});

test('a second signal ends a command at once', async () => {
  const id = await newKey();
  await holdKeys();
  const command = start('keys', 'rotate', id);
  await seen(waiterSql);
  command.child.kill('SIGINT');
  await command.said('SIGINT');
  command.child.kill('SIGTERM');
  expect(await command.ended).toBe(1);
  expect(command.written.stdout).toBe('');
  await client.query('COMMIT');
});

test('a rotated key is printed though somebody revokes the old one meanwhile', async () => {
  const id = await newKey();
  // As if a gateway ran that goes by what it knows for so long.
  await client.query('INSERT INTO gateway_leases (lease_ms, seen_at) VALUES (1500, now())');
  const rotating = start('keys', 'rotate', id);
  await seen('SELECT 1 FROM api_keys WHERE rotated_from = $1', [id]);
  await client.query('UPDATE api_keys SET revoked_at_ms = 1 WHERE id = $1', [id]);
  expect(await rotating.ended).toBe(0);
  expect(rotating.written.stdout).toMatch(/^mibo_\w{38}\n$/);
  expect(rotating.written.stderr).toContain(`The old one (${id}) works until `);
});
