/**
 * The OpenAPI document against programs that others wrote: it is valid, and a fuzzer that reads it
 * finds nothing that the API does otherwise.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { auditActions } from '../../src/auth/auth.ts';
import { hasPython, preparePython } from '../harness/python-environment.ts';
import { type AdminUnderTest, startAdmin, token } from './admin-under-test.ts';

const execute = promisify(execFile);
type Printed = { readonly stdout: string; readonly stderr: string };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mibo-contract-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

if (hasPython()) {
  describeContract();
} else {
  console.warn('python3 is not installed: the document of the admin API is NOT tested here');
  test.skip('the document of the admin API, for want of python3', () => {});
}

function describeContract(): void {
  const requirements = join(import.meta.dirname, 'requirements.txt');
  const programs = preparePython({ name: 'admin-python', requirements });

  /** What it prints, however it ends. */
  const run = async (program: string, ...args: readonly string[]): Promise<string> => {
    const options = { cwd: folder, maxBuffer: Number.POSITIVE_INFINITY };
    const ended = execute(join(programs, program), args, options);
    const { stdout, stderr } = await ended.catch((failed: Printed) => failed);
    return stdout + stderr;
  };

  describe.each([
    ['with a token', token],
    ['without one', ''],
  ])('the document %s', (_name, given) => {
    test('is valid OpenAPI 3.1', async () => {
      const { ok } = await startAdmin({ token: given });
      const file = join(folder, 'openapi.json');
      writeFileSync(file, JSON.stringify(await ok('GET', '/openapi.json')));
      expect(await run('openapi-spec-validator', file)).toContain('OK');
    });
  });

  /** A project with more agents and keys than are taken away, and their ids for the fuzzer. */
  async function seed({ ok }: AdminUnderTest): Promise<void> {
    const project = await ok('POST', '/projects', { name: 'shop' });
    const ids = async (path: string, body: (index: number) => object) => {
      const made: unknown[] = [];
      for (let index = 0; index < 20; index += 1) {
        made.push((await ok('POST', `/projects/shop/${path}`, body(index))).id);
      }
      return made;
    };
    const agents = await ids('agents', () => ({ id: randomUUID(), name: 'Bot' }));
    const keys = await ids('api-keys', () => ({ name: 'k' }));
    for (const [file, lines] of Object.entries({ projects: ['shop', project.id], agents, keys })) {
      const quoted = lines.map((line) => `${JSON.stringify(line)}\n`);
      writeFileSync(join(folder, `${file}.txt`), quoted.join(''));
    }
  }

  test('a fuzzer that reads the document finds nothing undocumented, and no fault', async () => {
    const admin = await startAdmin();
    await seed(admin);
    cpSync(join(import.meta.dirname, 'schemathesis.toml'), join(folder, 'schemathesis.toml'));
    const printed = await run(
      'schemathesis',
      ...['run', `http://127.0.0.1:${admin.port}/admin/v1/openapi.json`],
      ...['--header', `Authorization: Bearer ${token}`],
      ...['--checks', 'all', '--max-examples', '25', '--seed', '1', '--continue-on-failure'],
      // Its threads are not safe with Python 3.11's parser, which it uses for messages.
      ...['--workers', '1', '--warnings', 'off'],
      // It would complain of a busy machine.
      ...['--suppress-health-check', 'all'],
    );
    expect(printed).toContain('No issues found');
    expect(admin.logged()).not.toContain('"level":"error"');
    // It came as far as every kind of change.
    const { items } = await admin.ok('GET', '/audit');
    const actions = new Set((items as { action: string }[]).map(({ action }) => action));
    expect([...actions].sort()).toEqual([...auditActions].sort());
  }, 300_000);
}
