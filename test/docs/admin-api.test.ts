/** docs/admin-api.md: its table is the document's, and its examples run as they are written. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { status } from '../../src/admin/status.ts';
import { adminClient } from '../harness/admin-client.ts';
import { cleanEnvironment } from '../harness/command.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';

const pagePath = resolve(import.meta.dirname, '../../docs/admin-api.md');
const page = readFileSync(pagePath, 'utf8');
const token = 'a-long-and-random-token';

let workspace: Workspace | undefined;
afterEach(() => workspace?.close());

async function start(): Promise<GatewayProcess> {
  workspace = createWorkspace({ downstream: 'http://127.0.0.1:9' });
  return workspace.startWith({ MIBO_ADMIN_TOKEN: token }, 'admin.endpoint=127.0.0.1:0');
}

type Operation = { readonly summary: string };
type Document = { readonly paths: Record<string, Record<string, Operation>> };

/** Rendered as the table stands on the page. To write it anew: vitest run test/docs -u */
function routesTable({ paths }: Document): string {
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => {
      return `| \`${method.toUpperCase()} ${path}\` | ${summary} |\n`;
    }),
  );
  return `| Route | Does |\n|---|---|\n${rows.join('')}`;
}

test('its table of routes is the one of the document', async () => {
  const { ports } = await start();
  const client = adminClient({ port: ports.admin as number, token });
  const document = (await client.call('GET', '/openapi.json')) as Document;
  const written = page.replace(
    /(<!-- routes -->\n).*(<!-- \/routes -->)/s,
    (_whole, before: string, after: string) => `${before}\n${routesTable(document)}\n${after}`,
  );
  await expect(written).toMatchFileSnapshot(pagePath);
});

test('its examples run as they are written, and show what it says', async () => {
  const { ports, logs } = await start();
  const script = [...page.matchAll(/```sh\n(.*?)```/gs)]
    .map(([, block]) => block)
    .join('')
    .replaceAll(':8080/', `:${ports.admin}/`)
    .replaceAll(':4318/', `:${ports.http}/`);
  const ran = spawnSync('/bin/sh', ['-euc', script], {
    encoding: 'utf8',
    env: { ...cleanEnvironment(), MIBO_ADMIN_TOKEN: token },
  });
  expect(ran.stderr).toBe('');
  const answers = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const [project, agent, keys, refused, rejections, patched, rotated, revoked, audit, state] =
    answers;
  expect(answers).toHaveLength(10);
  expect(project).toMatchObject({ name: 'Acme' });
  expect(agent).toMatchObject({ name: 'Support bot', project_id: project.id });
  expect(keys.items).toMatchObject([{ name: 'Production', scope: 'all', status: 'active' }]);
  expect(refused.message).toContain('[PLATFORM_NOT_FOUND]');
  expect(rejections.items).toMatchObject([
    {
      protocol: 'http',
      status: 400,
      reason: 'platform_not_found',
      trace_id: '5b8efff798038103d269b633813fc60c',
    },
  ]);
  expect(patched).toMatchObject({ name: 'Production EU', agents: [agent.id] });
  expect(rotated).toMatchObject({ rotated_from: patched.id, key: expect.stringMatching(/^mibo_/) });
  expect(revoked).toMatchObject({ effective: true });
  expect(audit.items).toMatchObject([
    { action: 'key.revoke', subject_id: patched.id },
    { action: 'key.rotate' },
    { action: 'key.scope' },
  ]);
  expect(audit.next_cursor).toBeDefined();
  // The document describes what a gateway really says of itself.
  expect(status.parse(state)).toMatchObject({
    auth: { mode: 'keys', store: 'sqlite' },
    requests: { refused: 1 },
  });
  expect(logs()).not.toContain(token);
});
