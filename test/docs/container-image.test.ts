/** The container image: complete, and content with what a hardened cluster gives it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Image, makeImage, readDockerfile } from './image-folder.ts';

const checkout = resolve(import.meta.dirname, '../..');
const bin = 'app/bin/mibo-gateway.js';

let image: Image;
beforeAll(() => {
  const root = mkdtempSync(join(tmpdir(), 'mibo-image-'));
  chmodSync(root, 0o755);
  image = makeImage(root);
  setWritable(join(root, 'app'), false);
});
afterAll(() => {
  setWritable(join(image.root, 'app'), true);
  rmSync(image.root, { recursive: true });
});

test('what the Dockerfile copies is let through by .dockerignore', () => {
  const ignore = readFileSync(join(checkout, '.dockerignore'), 'utf8').split('\n');
  expect(ignore[0]).toBe('*');
  const copied = readDockerfile()
    .filter(({ name, words }) => name === 'COPY' && !words.startsWith('--'))
    .flatMap(({ words }) => words.split(/\s+/).slice(0, -1));
  expect(copied.filter((path) => !ignore.includes(`!${path}`))).toEqual([]);
});

test('the configuration that it starts with by default is valid', () => {
  const { status, stdout, stderr } = run(['validate'], image.env);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toContain('app/config/gateway.yaml');
});

test('it runs read-only, under a user of no rights, and its health check passes', async () => {
  const env = { ...image.env, MIBO_CONFIG: await writeConfig() };
  expect(image.entrypoint).toEqual(['mibo-gateway']);
  const added = run(['projects', 'add', 'demo'], env);
  expect(added.stdout).toMatch(/^prj_\w+\n$/);
  expect(existsSync(join(image.root, 'data/keys.db'))).toBe(true);

  const child = spawn(process.execPath, [join(image.root, bin), ...image.command], options(env));
  const port = await httpPortOnceReady(child);
  const [program, ...check] = image.healthCheck;
  expect(program).toBe('mibo-gateway');
  expect(run(check, env)).toMatchObject({ status: 0, stdout: 'alive\n' });
  const answer = await fetch(`http://127.0.0.1:${port}/v1/traces`, { method: 'POST' });
  expect(answer.status).toBe(401);

  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(run(check, env).status).toBe(1);
  expect(existsSync(join(image.root, 'app/.cache'))).toBe(false);
});

function run(args: readonly string[], env: NodeJS.ProcessEnv) {
  return spawnSync(process.execPath, [join(image.root, bin), ...args], {
    ...options(env),
    encoding: 'utf8',
  });
}

/** As root, the image's own user; otherwise whoever runs the tests, who may write no more. */
function options(env: NodeJS.ProcessEnv) {
  const id = reachable() ? { uid: image.user, gid: image.user } : {};
  const config = env.MIBO_CONFIG?.replace('/app/', `${image.root}/app/`);
  return { cwd: image.root, env: { PATH: process.env.PATH, ...env, MIBO_CONFIG: config }, ...id };
}

/** Whether another user may run this Node at all. */
function reachable(): boolean {
  if (process.getuid?.() !== 0) return false;
  const other = { uid: image.user, gid: image.user, cwd: image.root };
  return spawnSync(process.execPath, ['--version'], other).status === 0;
}

async function writeConfig(): Promise<string> {
  const any = '127.0.0.1:0';
  const path = join(image.root, 'own.yaml');
  const config = {
    receivers: { otlp: { protocols: { grpc: { endpoint: any }, http: { endpoint: any } } } },
    telemetry: {
      metrics: { endpoint: any },
      health: { endpoint: `127.0.0.1:${await freePort()}` },
    },
    admin: { endpoint: any },
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** The health check has to know it before the gateway starts. */
async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function httpPortOnceReady(child: ChildProcess): Promise<number> {
  let text = '';
  return new Promise((done, fail) => {
    child.stderr?.on('data', (chunk) => {
      text += chunk;
      if (!text.includes('"msg":"ready"')) return;
      done(Number(/"listener":"otlp_http".*?"port":(\d+)/.exec(text)?.[1]));
    });
    child.on('exit', (code) => fail(new Error(`ended with ${code}: ${text}`)));
  });
}

/** Also makes all of it readable, whatever the umask of the checkout. */
function setWritable(folder: string, writable: boolean): void {
  const write = writable ? 0o200 : 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) setWritable(path, writable);
    else chmodSync(path, 0o444 | write);
  }
  chmodSync(folder, 0o555 | write);
}
