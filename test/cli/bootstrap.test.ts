/**
 * The bootstrap, in a small package of its own: the same `bin/`, with one local dependency and a
 * `src/main.ts` that shows how it was started. Runs under the machine's own Node too, where that is
 * an old one.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const repository = resolve(import.meta.dirname, '../..');

type Node = { readonly path: string; readonly major: number };

/** Every Node on the PATH but the one that is installed as a package, one of each major version. */
function machineNodes(): Node[] {
  const found = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => {
    const path = join(folder, 'node');
    if (!existsSync(path) || folder.includes('node_modules')) return [];
    const version = execFileSync(path, ['--version'], { encoding: 'utf8' });
    return [{ path, major: Number.parseInt(version.slice(1), 10) }];
  });
  return found.filter(({ major }, index) => {
    return major >= 20 && index === found.findIndex((each) => each.major === major);
  });
}

const ownNode: Node = { path: process.execPath, major: 26 };
const oldNode = machineNodes().find(({ major }) => major < 26);
const nodes = [ownNode, ...(oldNode === undefined ? [] : [oldNode])];

let root = '';
const fresh = realpathSync(mkdtempSync(join(tmpdir(), 'mibo-bootstrap-')));
const children: ChildProcess[] = [];

beforeAll(() => {
  cpSync(join(repository, 'bin'), join(fresh, 'bin'), { recursive: true });
  mkdirSync(join(fresh, 'src'));
  writeFileSync(join(fresh, 'src/main.ts'), mainSource);
  makeDependency(fresh, '1.0.0');
});

afterAll(() => rmSync(fresh, { recursive: true }));

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'mibo-bootstrap-')));
  cpSync(fresh, root, { recursive: true });
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  chmodSync(root, 0o755);
  rmSync(root, { recursive: true, force: true });
});

/** Says how it was started, and does what its first argument tells it. */
const mainSource = `
import { version } from 'dependency';
const [, , command, ...rest]: string[] = process.argv;
const how = { node: process.version, args: rest, cwd: process.cwd(), dependency: version };
const say = (value: object) => process.stdout.write(JSON.stringify(value) + '\\n');
if (command !== 'wait') say(how);
if (command === 'exit') process.exit(Number(rest[0]));
if (command === 'die') process.kill(process.pid, 'SIGKILL');
if (command === 'read') for await (const chunk of process.stdin) say({ read: String(chunk) });
if (command === 'hang') setInterval(() => {}, 1000);
if (command === 'wait') {
  let signals = 0;
  process.on('SIGTERM', () => say({ signals: ++signals }));
  process.on('SIGINT', () => process.exit(7));
  process.on('disconnect', () => process.exit(9));
  process.channel?.unref();
  setInterval(() => {}, 1000);
  say(how);
}
`;

/** A package with a lock file, as npm writes one for a tarball beside it. */
function makeDependency(folder: string, version: string): void {
  const source = join(folder, 'source');
  rmSync(source, { recursive: true, force: true });
  rmSync(join(folder, 'package-lock.json'), { force: true });
  mkdirSync(source);
  const manifest = { name: 'dependency', version, type: 'module', main: 'main.js' };
  writeFileSync(join(source, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(source, 'main.js'), `export const version = '${version}';`);
  const options = { cwd: source, stdio: 'ignore' } as const;
  execFileSync('npm', ['pack', '--pack-destination', folder], options);
  const own = { name: 'probe', version: '1.0.0', type: 'module', private: true };
  const dependencies = { dependency: `file:dependency-${version}.tgz` };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...own, dependencies }));
  const lockOnly = ['install', '--package-lock-only', '--offline'];
  execFileSync('npm', lockOnly, { ...options, cwd: folder });
}

type Ended = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly lines: readonly Record<string, unknown>[];
  readonly stderr: string;
};

type RunOptions = {
  readonly bin?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
};

function launch(node: Node, args: readonly string[], options: RunOptions = {}): ChildProcess {
  const bin = options.bin ?? join(root, 'bin/mibo-gateway.js');
  const child = spawn(node.path, [bin, ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
  });
  children.push(child);
  return child;
}

function run(node: Node, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return ended(launch(node, args, options));
}

function ended(child: ChildProcess, input = ''): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin?.end(input);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      const lines = stdout.split('\n').filter((line) => line !== '');
      resolve({ code, signal, lines: lines.map((line) => JSON.parse(line)), stderr });
    });
  });
}

/** The next line that the child prints. */
function nextLine(child: ChildProcess): Promise<Record<string, unknown>> {
  return new Promise((resolve) => {
    child.stdout?.once('data', (chunk) => resolve(JSON.parse(String(chunk).trim())));
  });
}

/** An old Node finds the new one where the package with it is installed. */
function linkNode(): void {
  const folder = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin');
  mkdirSync(folder, { recursive: true });
  symlinkSync(process.execPath, join(folder, 'node'));
}

describe('a fresh clone', () => {
  test('is installed once; afterwards a start needs no npm', async () => {
    const first = await run(ownNode, ['say', 'a b', '--c']);
    expect(first.stderr).toContain('installing what is missing');
    expect(first).toMatchObject({
      code: 0,
      lines: [{ args: ['a b', '--c'], dependency: '1.0.0' }],
    });
    const second = await run(ownNode, ['say'], { env: { PATH: '' } });
    expect(second).toMatchObject({ code: 0, stderr: '' });
  });

  test('is installed by one of two commands that start at once', async () => {
    const both = await Promise.all([run(ownNode, ['say']), run(ownNode, ['say'])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    const installs = both.filter(({ stderr }) => stderr.includes('installing what is missing'));
    expect(installs).toHaveLength(1);
  });

  test('says what to do where there is no npm, and exits 1', async () => {
    const { code, stderr, lines } = await run(ownNode, ['say'], { env: { PATH: '' } });
    expect({ code, lines }).toEqual({ code: 1, lines: [] });
    expect(stderr).toContain('install npm');
  });

  test('says so where npm fails, and exits 1', async () => {
    rmSync(join(root, 'dependency-1.0.0.tgz'));
    const env = { npm_config_cache: join(root, 'empty-cache') };
    const { code, stderr } = await run(ownNode, ['say'], { env });
    expect(code).toBe(1);
    expect(stderr).toContain('run this again once npm can install packages');
  });
});

describe('an install that is not complete', () => {
  test('is done again after an interruption', async () => {
    await run(ownNode, ['say']);
    rmSync(join(root, 'node_modules/.package-lock.json'));
    rmSync(join(root, 'node_modules/dependency/main.js'));
    expect(await run(ownNode, ['say'])).toMatchObject({
      code: 0,
      lines: [{ dependency: '1.0.0' }],
    });
  });

  test('is done again when a package has gone', async () => {
    await run(ownNode, ['say']);
    rmSync(join(root, 'node_modules/dependency'), { recursive: true });
    expect(await run(ownNode, ['say'])).toMatchObject({
      code: 0,
      lines: [{ dependency: '1.0.0' }],
    });
  });

  test('is done again when the lock file has moved on', async () => {
    await run(ownNode, ['say']);
    makeDependency(root, '2.0.0');
    expect(await run(ownNode, ['say'])).toMatchObject({
      code: 0,
      lines: [{ dependency: '2.0.0' }],
    });
  });

  test('is not held up by the lock of a process that died', async () => {
    const { pid } = spawn(process.execPath, ['-e', '']);
    mkdirSync(join(root, '.cache'));
    const lock = join(root, '.cache/install.lock');
    writeFileSync(lock, String(pid));
    // Should that number be another process by now, the lock's age tells.
    utimesSync(lock, 0, 0);
    expect(await run(ownNode, ['say'])).toMatchObject({ code: 0 });
    expect(existsSync(lock)).toBe(false);
  });
});

test('a complete folder that cannot be written is run as it is', async () => {
  await run(ownNode, ['say']);
  rmSync(join(root, '.cache'), { recursive: true, force: true });
  const before = readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8');
  chmodSync(join(root, 'node_modules'), 0o555);
  chmodSync(root, 0o555);
  expect(await run(ownNode, ['say'], { env: { PATH: '' } })).toMatchObject({ code: 0, stderr: '' });
  expect(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).toBe(before);
  expect(existsSync(join(root, '.cache'))).toBe(false);
});

describe.each(nodes)('under Node $major', (node) => {
  beforeEach(async () => {
    await run(ownNode, ['say']);
    linkNode();
  });

  test('the source runs on the new Node, from any folder, by path and by link', async () => {
    const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'mibo-elsewhere-')));
    const link = join(cwd, 'mibo');
    symlinkSync(join(root, 'bin/mibo-gateway.js'), link);
    for (const bin of [join(root, 'bin/mibo-gateway.js'), link]) {
      const { code, lines } = await run(node, ['say', 'x'], { cwd, bin });
      expect({ code, lines }).toMatchObject({
        code: 0,
        lines: [{ args: ['x'], cwd, node: process.version }],
      });
    }
    rmSync(cwd, { recursive: true });
  });

  test('its exit code is handed on', async () => {
    expect((await run(node, ['exit', '2'])).code).toBe(2);
  });

  test('its death by a signal is handed on', async () => {
    expect(await run(node, ['die'])).toMatchObject({ code: null, signal: 'SIGKILL' });
  });

  test('standard input reaches it', async () => {
    const { lines } = await ended(launch(node, ['read']), 'a key');
    expect(lines[1]).toEqual({ read: 'a key' });
  });

  test('it ends with the shell of npm, which passes no signals on', async () => {
    const command = `"${node.path}" "${join(root, 'bin/mibo-gateway.js')}" hang; true`;
    const env = { ...process.env, npm_lifecycle_event: 'start' };
    const shell = spawn('sh', ['-c', command], { cwd: root, env });
    children.push(shell);
    // The pipes close once everything behind the shell is gone as well.
    const end = ended(shell);
    await nextLine(shell);
    shell.kill('SIGTERM');
    expect(await end).toMatchObject({ signal: 'SIGTERM', stderr: '' });
  });

  test('a signal reaches it', async () => {
    const child = launch(node, ['wait']);
    const end = new Promise((resolve) => child.on('exit', resolve));
    await nextLine(child);
    child.kill('SIGINT');
    expect(await end).toBe(7);
  });
});

describe.runIf(oldNode !== undefined)('the process in between, under an old Node', () => {
  beforeEach(async () => {
    await run(ownNode, ['say']);
    linkNode();
  });

  test('passes the same signal on once within 500 ms', async () => {
    const child = launch(oldNode as Node, ['wait']);
    const end = ended(child);
    await nextLine(child);
    const startMs = performance.now();
    child.kill('SIGTERM');
    expect(await nextLine(child)).toEqual({ signals: 1 });
    child.kill('SIGTERM');
    const apartMs = performance.now() - startMs;
    child.kill('SIGINT');
    const { lines, code } = await end;
    expect(code).toBe(7);
    // On a machine so busy that they lay further apart, they were two signals and rightly so.
    if (apartMs < 450) expect(lines.slice(1)).toEqual([{ signals: 1 }]);
  });

  test('takes the gateway with it when it is killed outright', async () => {
    const child = launch(oldNode as Node, ['wait']);
    // The pipes close once the grandchild is gone as well.
    const end = ended(child);
    await nextLine(child);
    child.kill('SIGKILL');
    expect(await end).toMatchObject({ signal: 'SIGKILL' });
  });
});

test('the machine has an old Node to test with, or the suite says so', () => {
  if (oldNode === undefined) console.warn('no Node older than 26 on the PATH: tested without it');
});
