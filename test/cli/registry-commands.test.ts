import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDesk, type Desk, type Ran } from './run-cli.ts';

const supportBot = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const salesBot = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const keyPattern = /^mibo_[0-9A-Za-z]{38}\n$/;

let desk: Desk;

beforeEach(() => {
  desk = createDesk();
});
afterEach(() => desk.close());

/** Of a command that is expected to succeed. */
async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await desk.registry(...args, '--json');
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

async function addProject(): Promise<void> {
  await json('projects', 'add', 'Acme');
  await json('agents', 'add', supportBot, '--project', 'Acme', '--name', 'Support bot');
  await json('agents', 'add', salesBot, '--project', 'Acme', '--name', 'Sales bot');
}

async function createKey(...args: readonly string[]): Promise<Record<string, unknown>> {
  return json('keys', 'create', '--project', 'Acme', '--name', 'Production', ...args);
}

describe('projects and agents', () => {
  test('add prints the id alone, and says what comes next', async () => {
    const project = await desk.registry('projects', 'add', 'Acme');
    expect(project.stdout).toMatch(/^prj_\w{16}\n$/);
    expect(project.stderr).toContain('mibo-gateway agents add');
    const agent = await desk.registry(
      ...['agents', 'add', supportBot.toUpperCase(), '--project', 'Acme', '--name', 'Support bot'],
    );
    expect(agent.stdout).toBe(`${supportBot}\n`);
    expect(agent.stderr).toContain('mibo-gateway keys create');
  });

  test('list shows a table, and the same as JSON', async () => {
    await addProject();
    const agents = await desk.registry('agents', 'list', '--project', 'Acme');
    expect(agents.stdout).toMatch(/^ID +NAME +CREATED\n/);
    expect(agents.stdout).toContain(`${supportBot}  Support bot  20`);
    expect(await json('agents', 'list', '--project', 'Acme')).toMatchObject({
      items: [{ id: supportBot, name: 'Support bot' }, { id: salesBot }],
    });
    expect(await json('projects', 'list')).toMatchObject({ items: [{ name: 'Acme' }] });
  });

  test('an empty list says how to add something, and stays empty for programs', async () => {
    const { stdout, stderr } = await desk.registry('projects', 'list');
    expect({ stdout, stderr }).toEqual({
      stdout: '',
      stderr: expect.stringContaining('mibo-gateway projects add'),
    });
    expect(await json('projects', 'list')).toEqual({ items: [] });
  });

  test('a key whose only agent was removed reaches none', async () => {
    await addProject();
    await createKey('--agent', supportBot);
    await json('agents', 'remove', supportBot, '--project', 'Acme');
    expect((await desk.registry('keys', 'list')).stdout).toContain('no agent');
  });

  test.each([
    ['agents', 'add', 'no-uuid', '--project', 'Acme', '--name', 'x'],
    ['agents', 'list', '--project', 'nobody'],
    ['projects', 'add', 'Acme'],
    ['keys', 'show', 'key_nobody'],
    ['keys', 'create', '--project', 'Acme', '--name', 'x', '--agent', crypto.randomUUID()],
    ['keys', 'create', '--project', 'Acme', '--name', 'x', '--expires', '100000000d'],
  ])('%s %s %s is refused with 1 and words', async (...args) => {
    await addProject();
    const { code, stdout, stderr } = await desk.registry(...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^[a-z].{20,}\n$/);
  });
});

describe('keys', () => {
  beforeEach(addProject);

  test('create prints the key alone on standard output, and nowhere else', async () => {
    const { stdout, stderr } = await desk.registry(
      ...['keys', 'create', '--project', 'Acme', '--name', 'Production', '--agent', supportBot],
    );
    expect(stdout).toMatch(keyPattern);
    expect(stderr).toContain('OTEL_EXPORTER_OTLP_HEADERS=x-api-key=');
    expect(stderr).not.toContain(stdout.trim());
    expect(readFileSync(desk.storePath).includes(stdout.trim())).toBe(false);
  });

  test('create as JSON has the record and the key', async () => {
    const created = await createKey('--agent', supportBot, '--expires', '90d');
    expect(created).toMatchObject({ scope: 'agents', agents: [supportBot], status: 'active' });
    const lifeMs = Date.parse(String(created.expires_at)) - Date.parse(String(created.created_at));
    expect(Math.round(lifeMs / 86_400_000)).toBe(90);
    expect(created.key).toMatch(/^mibo_/);
  });

  test('list and show mask the key', async () => {
    const { id, key } = await createKey();
    const masked = `mibo_...${String(key).slice(-4)}`;
    for (const shown of [await desk.registry('keys', 'list'), await show(id)]) {
      expect(shown.stdout).toContain(masked);
      expect(shown.stdout).toContain('all agents');
      expect(shown.stdout + shown.stderr).not.toContain(key);
    }
    expect(await json('keys', 'list', '--project', 'Acme')).toMatchObject({
      items: [{ id, masked_key: masked, last_used_at: null }],
    });
  });

  test('list names the project of each key where it is not given; show names it too', async () => {
    const { id } = await createKey();
    await json('projects', 'add', 'Other project');
    await json('keys', 'create', '--project', 'Other project', '--name', 'Theirs');
    const all = (await desk.registry('keys', 'list')).stdout.split('\n');
    expect(all[0]).toMatch(/^ID +PROJECT +NAME /);
    expect(all[1]).toMatch(/^key_\w+ +Acme +Production /);
    expect(all[2]).toMatch(/^key_\w+ +Other project +Theirs /);
    const one = await desk.registry('keys', 'list', '--project', 'Acme');
    expect(one.stdout).not.toContain('PROJECT');
    expect((await show(id)).stdout).toMatch(/^project +prj_\w{16} {2}Acme$/m);
  });

  test('rename and scope change what is said of a key', async () => {
    const { id } = await createKey();
    expect(await json('keys', 'rename', String(id), '--name', 'Staging')).toMatchObject({
      name: 'Staging',
    });
    const scoped = await json('keys', 'scope', String(id), '--agent', salesBot);
    expect(scoped).toMatchObject({ scope: 'agents', agents: [salesBot] });
    expect((await show(id)).stdout).toMatch(/scope +Sales bot/);
    expect(await json('keys', 'scope', String(id), '--all')).toMatchObject({ scope: 'all' });
  });

  test('rotate prints the new key alone; the old one lives on for the grace', async () => {
    const { id } = await createKey();
    const { stdout, stderr } = await desk.registry('keys', 'rotate', String(id), '--grace', '2h');
    expect(stdout).toMatch(keyPattern);
    expect(stderr).toContain(`mibo-gateway keys revoke ${id}`);
    const { items } = (await json('keys', 'list')) as { items: Record<string, unknown>[] };
    const graceMs = Date.parse(String(items[0]?.expires_at)) - Date.now();
    expect(graceMs).toBeGreaterThan(7_000_000);
    expect(graceMs).toBeLessThanOrEqual(7_200_000);
    expect(items[1]).toMatchObject({ rotated_from: id, expires_at: null });
  });

  test('a store that already holds an expiry beyond every calendar is still listed', async () => {
    const { id } = await createKey('--expires', '90d');
    const database = new DatabaseSync(desk.storePath);
    database.exec(`UPDATE api_keys SET expires_at_ms = ${Number.MAX_SAFE_INTEGER}`);
    database.close();
    expect((await desk.registry('keys', 'list')).stdout).toContain('+275760-09-13');
    const { items } = (await json('keys', 'list')) as { items: Record<string, unknown>[] };
    expect(items[0]?.expires_at).toBe('+275760-09-13T00:00:00.000Z');
    const lifeMs = Date.parse(String((await json('keys', 'rotate', String(id))).expires_at));
    expect(lifeMs - Date.now()).toBeLessThanOrEqual(36_525 * 86_400_000);
  });

  test('revoke takes the key out of the list and says that it is effective', async () => {
    const { id } = await createKey();
    expect(await json('keys', 'revoke', String(id))).toEqual({
      effective: true,
      effective_after_ms: expect.any(Number),
    });
    expect(await json('keys', 'list')).toEqual({ items: [] });
    expect((await desk.registry('keys', 'revoke', String(id))).code).toBe(1);
  });

  test('import reads the key from standard input or a file, and prints the id', async () => {
    const first = 'mibo_imported-key-number-one-000001';
    const second = 'mibo_imported-key-number-two-000002';
    const options = ['--project', 'Acme', '--name', 'Old', '--set', storeSetting()];
    const piped = await desk.run(['keys', 'import', ...options], { stdin: `${first}\n` });
    expect(piped.stdout).toMatch(/^key_\w{16}\n$/);
    const file = join(desk.folder, 'key');
    writeFileSync(file, `${second}\n`);
    const read = await desk.run(['keys', 'import', '--key-file', file, ...options]);
    expect(read.code).toBe(0);
    expect(piped.stderr + read.stderr).not.toMatch(/imported-key/);
    expect((await desk.registry('keys', 'list')).stdout).toContain('mibo_...0002');
  });

  test.each([
    ['that is not there', 'nofile', /^check --key-file: there is no file \S+nofile\n$/],
    ['that is a folder', '', /^check --key-file: \S+ is a folder\n$/],
  ])('import from a file %s says so in plain words', async (_, name, words) => {
    const { code, stderr } = await desk.registry(
      ...['keys', 'import', '--project', 'Acme', '--name', 'Old'],
      ...['--key-file', join(desk.folder, name)],
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(words);
  });

  test('import without a key says how to give one', async () => {
    const { code, stderr } = await desk.registry(
      ...['keys', 'import', '--project', 'Acme', '--name', 'Old'],
    );
    expect(code).toBe(1);
    expect(stderr).toContain('pipe the key in');
  });

  function show(id: unknown): Promise<Ran> {
    return desk.registry('keys', 'show', String(id));
  }
});

test.each([
  ['keys', 'show'],
  ['keys', 'revoke'],
  ['agents', 'list', '--project'],
  ['keys', 'create', '--project', 'Acme', '--name', 'x', '--expires'],
  ['projects', 'add'],
  ['no-such-command'],
])('%s %s: a key given by mistake is not repeated', async (...args) => {
  const key = 'mibo_this-is-a-key-and-belongs-nowhere';
  const { code, stdout, stderr } = await desk.registry(...args, key);
  expect(code).not.toBe(0);
  expect(stdout + stderr).not.toContain(key);
});

describe('wrong usage', () => {
  test.each([
    [['keys', 'create', '--name', 'x'], '--project'],
    [['keys', 'create', '--project', 'p', '--name', 'x', '--expires', 'soon'], '90d'],
    [['keys', 'scope', 'key_x'], '--all'],
    [['keys', 'scope', 'key_x', '--all', '--agent', supportBot], 'either'],
    [['keys', 'erase'], 'erase'],
    [['sink', '--port', '70000'], '65535'],
    [['dead-letters'], 'dead-letters'],
    [[], 'Usage'],
  ])('%j exits 2 and names what is wrong', async (args, word) => {
    const { code, stdout, stderr } = await desk.run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(word);
    expect(existsSync(desk.storePath)).toBe(false);
  });

  test('help says which options are required, and shows defaults as they are written', async () => {
    const text = async (...args: string[]) => (await desk.run([...args, '--help'])).stdout;
    const create = (await text('keys', 'create')).replaceAll(/\s+/g, ' ');
    expect(create).toContain('the project that it belongs to (required)');
    expect(create).toContain('what it is for (required)');
    expect(create.match(/\(required\)/g)).toHaveLength(2);
    expect(create).not.toContain('[]');
    expect((await text('keys', 'rotate')).replaceAll(/\s+/g, ' ')).toContain('(default: 24h)');
  });

  test('dev says how options are given after npm start', async () => {
    const { code, stdout, stderr } = await desk.run(['dev', 'a=b', 'c=d']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain("too many arguments for 'dev'");
    expect(stderr).toContain('npm start -- --set a=b');
    expect(stderr).not.toContain('c=d --set');
  });

  test.each(['npm_config_set', 'npm_config_config'])('dev sees %s, kept by npm', async (name) => {
    const env = { npm_lifecycle_event: 'start', [name]: 'a=b' };
    const { code, stdout, stderr } = await desk.run(['dev', '--set', 'auth.mode=passthrough'], {
      env,
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('npm start -- --set a=b');
  });

  test('help is no mistake', async () => {
    const { code, stdout } = await desk.run(['keys', 'create', '--help']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('--expires') });
  });
});

test('with passthrough there are no keys to manage, and the command says so', async () => {
  const { code, stderr } = await desk.registry('keys', 'list', '--set', 'auth.mode=passthrough');
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('next hop') });
});

test('a store that cannot be opened is refused in plain words', async () => {
  writeFileSync(join(desk.folder, 'data'), 'a file where the folder should be');
  const { code, stderr } = await desk.registry('keys', 'list');
  expect(code).toBe(1);
  expect(stderr).toContain(desk.storePath);
});

function storeSetting(): string {
  return `auth.store.path=${desk.storePath}`;
}

describe('the audit', () => {
  test('lists who changed what, the newest first, and never a key', async () => {
    await addProject();
    const { id, key } = await createKey('--agent', supportBot);
    await desk.registry('keys', 'revoke', String(id));
    const { stdout } = await desk.registry('audit', 'list');
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^TIME +BY +ACTION +PROJECT +SUBJECT +DETAILS$/);
    const actions = lines.slice(1, -1).map((line) => line.split(/ {2,}/)[2]);
    expect(actions).toEqual(['key.revoke', 'key.create', 'agent.add', 'agent.add', 'project.add']);
    expect(lines[2]).toMatch(new RegExp(`cli:\\w+ .* Acme +${id} .*name=Production`));
    expect(stdout).not.toContain(key);
    expect(await json('audit', 'list', '--subject', String(id))).toMatchObject({
      items: [{ action: 'key.revoke' }, { action: 'key.create', details: { name: 'Production' } }],
    });
  });

  test('says so where there is more than was asked for, or nothing', async () => {
    const none = await desk.registry('audit', 'list');
    expect(none).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/^No changes/),
    });
    await addProject();
    await json('projects', 'add', 'Other');
    const args = ['audit', 'list', '--project', 'Acme', '--limit'];
    const some = await desk.registry(...args, '2');
    expect(some.stdout.split('\n')).toHaveLength(4);
    expect(some.stderr).toContain('--limit 20');
    const all = await desk.registry(...args, '3');
    expect(all.stderr).toBe('');
    expect((await desk.registry(...args, '0')).code).toBe(2);
  });
});

test('migrate makes the tables, once', async () => {
  expect(await json('migrate')).toEqual({ steps: [1] });
  const again = await desk.registry('migrate');
  expect(again).toMatchObject({ code: 0, stdout: '' });
  expect(again.stderr).toBe(`Nothing to do: the tables are all there, in ${desk.storePath}.\n`);
});
