/** `npm start`: what it prints, and what happens when that is pasted. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { salesBot, supportBot } from '../../src/cli/demo.ts';
import { bin, run } from '../harness/command.ts';
import { type DevProcess, paste, startDev } from './dev-process.ts';

const keyPattern = /mibo_[0-9A-Za-z]{38}/;

describe('what is printed', () => {
  let dev: DevProcess;
  beforeAll(async () => {
    dev = await startDev();
  });
  afterAll(() => dev.stop());

  test('is exports, one curl command and comments, which do no harm in any shell', () => {
    const lines = dev.stdout().trimEnd().split('\n');
    // zsh runs comments at its prompt: only what means nothing to a shell may stand in them.
    const allowed = /^(?:#[\w .,:/-]*|export [A-Z_]+=[\w.,:/=-]+|curl -sS .*)$/;
    expect(lines.filter((line) => !allowed.test(line))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('curl'))).toHaveLength(1);
  });

  test('gives each group all that an SDK needs', () => {
    const common = { OTEL_METRICS_EXPORTER: 'none', OTEL_LOGS_EXPORTER: 'none' };
    const [first, second, third] = ([1, 2, 3] as const).map((group) => paste(dev.lines(group)));
    const endpoint = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/);
    for (const env of [first, second, third]) {
      expect(env).toMatchObject({ ...common, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
      expect(env?.OTEL_EXPORTER_OTLP_HEADERS).toMatch(/^x-api-key=mibo_\w{38}$/);
    }
    expect(first?.OTEL_EXPORTER_OTLP_PROTOCOL).toBe('http/protobuf');
    expect(second?.OTEL_EXPORTER_OTLP_PROTOCOL).toBe('grpc');
    expect(second?.OTEL_EXPORTER_OTLP_HEADERS).toBe(first?.OTEL_EXPORTER_OTLP_HEADERS);
    expect(third?.OTEL_EXPORTER_OTLP_HEADERS).not.toBe(first?.OTEL_EXPORTER_OTLP_HEADERS);
    expect(third?.OTEL_RESOURCE_ATTRIBUTES).toBe(
      `service.name=my-app,mibo.platform_id=${salesBot.id}`,
    );
  });

  test('can be pasted whole: the curl command is answered, its trace is one line', async () => {
    const script = `set -e\n${dev.stdout()}`;
    const answer = JSON.parse(execFileSync('bash', ['-c', script], { encoding: 'utf8' }));
    expect(answer).toMatchObject({ success: true, data: { id: expect.any(String) } });
    await dev.printed('  Support bot  ');
    const line = dev.stdout().trimEnd().split('\n').at(-1);
    expect(line).toMatch(/^# \d\d:\d\d:\d\d {2}Support bot {2}- {2}1 span {2}"Hello"/);
  });
});

describe('while it runs', () => {
  let dev: DevProcess;
  beforeAll(async () => {
    dev = await startDev();
  });
  afterAll(() => dev.stop());

  test('a refusal is one comment, which says what to do', async () => {
    expect((await send('mibo_no-such-key-in-this-store', 'x')).status).toBe(401);
    await dev.printed('  refused  ');
    const line = dev.stdout().trimEnd().split('\n').at(-1);
    expect(line).toMatch(/^# \d\d:\d\d:\d\d {2}refused {2}invalid_api_key {2}http {2}[\w .,:/-]+$/);
    expect(dev.stderr()).toBe('');
  });

  test('an agent that is added now is shown by its name', async () => {
    const agent = crypto.randomUUID();
    const cwd = { cwd: dev.folder };
    await run(['projects', 'add', 'Acme'], cwd);
    await run(['agents', 'add', agent, '--project', 'Acme', '--name', 'New bot'], cwd);
    const key = await run(
      ['keys', 'create', '--project', 'Acme', '--name', 'n', '--agent', agent],
      {
        cwd: dev.folder,
      },
    );
    expect((await send(key.stdout.trim(), 'Agent')).ok).toBe(true);
    await dev.printed('  New bot  -  1 span  "Agent"  -');
    expect(dev.stdout()).not.toContain(agent);
  });

  test('no name in a trace means anything to a shell', async () => {
    const { OTEL_EXPORTER_OTLP_HEADERS: header = '' } = paste(dev.lines(1));
    const name = `evil "'\`id\` $(id) \\ !x; ${'$'}{HOME} ${'('.repeat(80)}`;
    expect((await send(header.split('=')[1] ?? '', name)).ok).toBe(true);
    await dev.printed('"evil ');
    const line = dev.stdout().trimEnd().split('\n').at(-1);
    expect(line).toMatch(/^# [\w .,:/-]+"evil [\w .,:/-]*" {2}-$/);
  });

  function send(key: string, name: string): Promise<Response> {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = paste(dev.lines(1));
    return fetch(`${endpoint}/public/traces`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ spans: [{ span_id: 's-1', name }] }),
    });
  }
});

test('the admin API moves to another port where 8080 is taken, and a line says where', async () => {
  const other = createServer();
  // Whoever has it already does as well.
  await new Promise<void>((done) => {
    other.once('error', () => done());
    other.listen(8080, '127.0.0.1', done);
  });
  const dev = await startDev({ adminByDefault: true });
  const [, url = '', port = ''] =
    /^# +admin API (http:\/\/127\.0\.0\.1:(\d+)\S+)$/m.exec(dev.stdout()) ?? [];
  expect(port).not.toBe('8080');
  const answer = await fetch(url);
  expect(await answer.json()).toMatchObject({ items: [{ name: 'Demo' }] });
  await dev.stop();
  other.close();
});

describe('the demo keys', () => {
  test('are the same after a restart, and stand in a file for their owner alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mibo-dev-'));
    const first = await startDev({ folder });
    const keys = keysOf(first);
    await first.stop();
    const path = join(folder, 'data/dev/keys.env');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect([...new Set(readFileSync(path, 'utf8').match(new RegExp(keyPattern, 'g')))]).toEqual(
      keys,
    );
    expect(readFileSync(join(folder, 'data/keys.db')).includes(keys[0] ?? '')).toBe(false);
    const second = await startDev({ folder });
    expect(keysOf(second)).toEqual(keys);
    await second.stop();
    rmSync(folder, { recursive: true });
  });

  test('are made anew where one was revoked; the demo is found in the store', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mibo-dev-'));
    const first = await startDev({ folder });
    const [supportKey, projectKey] = keysOf(first);
    const list = await run(['keys', 'list', '--project', 'Demo', '--json'], { cwd: folder });
    const { items } = JSON.parse(list.stdout) as { items: { id: string; agents: string[] }[] };
    expect(items.map(({ agents }) => agents)).toEqual([[supportBot.id], []]);
    await run(['keys', 'revoke', items[0]?.id ?? ''], { cwd: folder });
    await first.stop();
    const second = await startDev({ folder });
    expect(keysOf(second)[0]).toMatch(keyPattern);
    expect(keysOf(second)[0]).not.toBe(supportKey);
    expect(keysOf(second)[1]).toBe(projectKey);
    await second.stop();
    rmSync(folder, { recursive: true });
  });

  test('are revoked once their file is gone, and no others with them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mibo-dev-'));
    const first = await startDev({ folder });
    const old = keysOf(first);
    const path = join(folder, 'data/dev/keys.env');
    expect(readFileSync(path, 'utf8')).toMatch(/^# .*revoke/m);
    await run(['keys', 'create', '--project', 'Demo', '--name', 'Mine'], { cwd: folder });
    await run(['projects', 'add', 'Acme'], { cwd: folder });
    await run(['keys', 'create', '--project', 'Acme', '--name', 'Demo: all agents'], {
      cwd: folder,
    });
    await first.stop();
    rmSync(path);
    const second = await startDev({ folder });
    expect(keysOf(second)).not.toEqual(expect.arrayContaining([old[0]]));
    expect(keysOf(second)).not.toEqual(expect.arrayContaining([old[1]]));
    const list = await run(['keys', 'list', '--json'], { cwd: folder });
    const { items } = JSON.parse(list.stdout) as { items: { name: string }[] };
    expect(items.map(({ name }) => name)).toEqual([
      ...['Mine', 'Demo: all agents', 'Demo: Support bot', 'Demo: all agents'],
    ]);
    await second.stop();
    rmSync(folder, { recursive: true });
  });

  function keysOf(dev: DevProcess): string[] {
    return ([1, 3] as const).map((group) => {
      return keyPattern.exec(paste(dev.lines(group)).OTEL_EXPORTER_OTLP_HEADERS ?? '')?.[0] ?? '';
    });
  }
});

describe('a start that cannot be', () => {
  test('names every port that is taken and how to move each', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mibo-dev-'));
    const servers = [createServer(), createServer()];
    const ports = await Promise.all(
      servers.map(async (server) => {
        await once(server.listen(0, '127.0.0.1'), 'listening');
        return (server.address() as AddressInfo).port;
      }),
    );
    const names = ['receivers.otlp.protocols.http.endpoint', 'telemetry.metrics.endpoint'];
    const sets = names.flatMap((name, index) => ['--set', `${name}=127.0.0.1:${ports[index]}`]);
    const kept = [
      ...['--set', 'telemetry.health.endpoint=127.0.0.1:0'],
      ...['--set', 'downstream.headers.authorization=Bearer hidden'],
    ];
    for (const command of ['dev', 'start']) {
      const { code, stdout, stderr } = await run([command, ...kept, ...sets], { cwd: folder });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      for (const [index, name] of names.entries()) {
        expect(stderr).toContain(`--set ${name}=127.0.0.1:`);
        expect(stderr).toContain(`127.0.0.1:${ports[index]}: another process has that port`);
      }
      // The whole command, to be pasted: what was given and stays, then what moves the ports.
      const [, whole = ''] = stderr.split('\n');
      expect(whole).toMatch(
        new RegExp(
          `^ {2}(?:npx )?mibo-gateway ${command} --set telemetry.health.endpoint=127.0.0.1:0 ` +
            "--set 'downstream.headers.authorization=<secret>' --set receivers",
        ),
      );
      expect(stderr).not.toContain('hidden');
      for (const name of names) expect(whole.split(`${name}=`)).toHaveLength(2);
    }
    expect(existsSync(join(folder, 'data'))).toBe(false);
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  });

  test('prints all problems of the configuration', async () => {
    const { code, stderr } = await run(['start', '--set', 'a=1', '--set', 'b=2'], {
      cwd: tmpdir(),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('2 problems');
  });
});

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s ends it in order', async (signal) => {
  const dev = await startDev();
  expect(await dev.stop(signal)).toBe(0);
  expect(dev.stdout()).toMatch(/\n# stopped\n$/);
});

test('a reader that goes away is no fault of the command', () => {
  // Fails if the command does: writing into a pipe that nobody reads is an error by itself.
  execFileSync('bash', ['-o', 'pipefail', '-c', `"$0" "$1" --help | true`, process.execPath, bin]);
});
