import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDesk, type Desk } from './run-cli.ts';

let desk: Desk;

beforeEach(() => {
  desk = createDesk();
});
afterEach(() => desk.close());

function file(name: string, text: string): string {
  const path = join(desk.folder, name);
  writeFileSync(path, text);
  return path;
}

describe('validate', () => {
  test('exits 0 for a valid file and names it', async () => {
    const path = file('good.yaml', 'shutdown_timeout: 5s\n');
    const { code, stdout } = await desk.run(['validate', '--config', path]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `valid: ${path}\n` });
  });

  test('exits 1 with all problems at once', async () => {
    const path = file('bad.yaml', 'shutdown_timeout: soon\ndelivery: { mode: later }\n');
    const { code, stdout, stderr } = await desk.run(['validate', '--config', path]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    for (const words of ['2 problems', 'shutdown_timeout', 'delivery.mode', 'soon']) {
      expect(stderr).toContain(words);
    }
    const { stdout: json } = await desk.run(['validate', '--config', path, '--json']);
    expect(JSON.parse(json)).toMatchObject({
      valid: false,
      problems: expect.arrayContaining([
        expect.objectContaining({ path: 'shutdown_timeout', value: 'soon' }),
      ]),
    });
  });

  test('takes $MIBO_CONFIG where no file is given', async () => {
    const path = file('named.yaml', 'shutdown_timeout: soon\n');
    const { code } = await desk.run(['validate'], { env: { MIBO_CONFIG: path } });
    expect(code).toBe(1);
  });

  test('a later file and --set win', async () => {
    const files = [
      file('one.yaml', 'shutdown_timeout: 5s\n'),
      file('two.yaml', 'shutdown_timeout: 6s\n'),
    ];
    const given = files.flatMap((path) => ['--config', path]);
    const merged = await desk.run(['print-config', '--json', ...given]);
    expect(JSON.parse(merged.stdout)).toMatchObject({ shutdown_timeout: '6s' });
    const set = await desk.run(['print-config', ...given, '--set', 'shutdown_timeout=7s']);
    expect(set.stdout).toContain('shutdown_timeout: 7s\n');
  });
});

test('print-config masks secrets', async () => {
  const env = { MIBO_API_KEY: 'mibo_secret-secret-secret-secret' };
  const { stdout } = await desk.run(['print-config'], { env });
  expect(stdout).toContain('auth:');
  expect(stdout).not.toContain('secret-secret');
});

describe('health', () => {
  async function listen(status: number): Promise<{ args: string[]; paths: string[]; end(): void }> {
    const paths: string[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url ?? '');
      response.writeHead(status).end('{"status":"words"}\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const args = ['--set', `telemetry.health.endpoint=0.0.0.0:${port}`];
    return { args, paths, end: () => server.close() };
  }

  test('exits 0 while the gateway says that it is well, by the right path', async () => {
    const { args, paths, end } = await listen(200);
    expect(await desk.run(['health', ...args])).toMatchObject({ code: 0, stdout: 'alive\n' });
    expect(await desk.run(['health', '--ready', ...args])).toMatchObject({ stdout: 'ready\n' });
    const { stdout } = await desk.run(['health', '--json', ...args]);
    expect(JSON.parse(stdout)).toEqual({ status: 'words' });
    expect(paths).toEqual(['/livez', '/readyz', '/livez']);
    end();
  });

  test('exits 1 when it says that it is not', async () => {
    const { args, end } = await listen(503);
    const { code, stderr } = await desk.run(['health', '--ready', ...args]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('words') });
    end();
  });

  test('exits 1 when nobody answers', async () => {
    const { args, end } = await listen(200);
    end();
    const { code, stderr } = await desk.run(['health', ...args]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('ECONNREFUSED') });
  });
});
