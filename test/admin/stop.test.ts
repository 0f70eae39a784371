/** Stopping the admin API: what is under way ends, and nothing holds it up for long. */
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { createAdmin } from '../../src/admin/admin.ts';
import type { Store } from '../../src/auth/auth.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createManualClock } from '../auth/manual-clock.ts';
import { http } from '../harness/http-client.ts';
import { exampleStatus, openStore, token } from './admin-under-test.ts';

const headers = ['Authorization', `Bearer ${token}`];

/** One whose revokes take until `finish`. */
async function start() {
  const store = await openStore();
  const clock = createManualClock();
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const revoke: Store['keys']['revoke'] = async (id, change) => {
    begun.resolve();
    await finish.promise;
    return store.keys.revoke(id, change);
  };
  const { rejections, log } = createObservability({ level: 'silent' });
  const admin = createAdmin({
    endpoint: { host: '127.0.0.1', port: 0 },
    token,
    store: { ...store, keys: { ...store.keys, revoke } },
    rejections,
    status: () => exampleStatus,
    log,
    clock,
  });
  const { adminPort: port } = await admin.start();
  const project = await store.projects.add({ name: 'shop', by: 'test:ada' });
  const { record } = await store.keys.create({
    projectId: project.id,
    name: 'k',
    by: 'test:ada',
  });
  const path = `/admin/v1/projects/shop/api-keys/${record.id}`;
  const revoked = () => http({ port, method: 'DELETE', path, headers });
  return { admin, clock, port, revoked, begun: begun.promise, finish: finish.resolve };
}

test('a revoke that is under way is answered, and nobody new is', async () => {
  const { admin, port, revoked, begun, finish } = await start();
  const answer = revoked();
  await begun;
  const stopped = admin.stop(10_000);
  await expect(http({ port, method: 'GET', path: '/', headers })).rejects.toThrow('ECONNREFUSED');
  finish();
  // Without that it would be kept open for seconds.
  expect(await answer).toMatchObject({ status: 200, headers: { connection: 'close' } });
  await stopped;
  await admin.stop(10_000);
});

test('a connection that is kept open holds nothing up', async () => {
  const { admin, port } = await start();
  const agent = new Agent({ keepAlive: true });
  const path = '/admin/v1/status';
  expect((await http({ port, method: 'GET', path, headers, agent })).status).toBe(200);
  await admin.stop(10_000);
  agent.destroy();
});

test('neither does a connection that says nothing, or half of something', async () => {
  const { admin, port } = await start();
  for (const text of ['', 'GET / HTTP/1.1\r\n']) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    socket.write(text);
  }
  // Accepted after the others, so that these have been taken up by then.
  await http({ port, method: 'GET', path: '/', headers });
  await admin.stop(10_000);
});

test.each([
  { graceMs: 10_000, cutMs: 5_000 },
  { graceMs: 2_000, cutMs: 2_000 },
])('of $graceMs ms, what takes $cutMs ms is cut off', async ({ graceMs, cutMs }) => {
  const { admin, clock, revoked, begun } = await start();
  const answer = revoked();
  await begun;
  const stopped = admin.stop(graceMs);
  clock.advance(cutMs);
  await expect(answer).rejects.toThrow();
  await stopped;
});
