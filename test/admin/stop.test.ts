/** Stopping the admin API: what is under way ends, and nothing holds it up for long. */
import { Agent } from 'node:http';
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
  const stopped = admin.stop();
  await expect(http({ port, method: 'GET', path: '/', headers })).rejects.toThrow('ECONNREFUSED');
  finish();
  // Without that it would be kept open for seconds.
  expect(await answer).toMatchObject({ status: 200, headers: { connection: 'close' } });
  await stopped;
  await admin.stop();
});

test('a connection that is kept open holds nothing up', async () => {
  const { admin, port } = await start();
  const agent = new Agent({ keepAlive: true });
  const path = '/admin/v1/status';
  expect((await http({ port, method: 'GET', path, headers, agent })).status).toBe(200);
  await admin.stop();
  agent.destroy();
});

test('what does not end within 5 s is cut off', async () => {
  const { admin, clock, revoked, begun } = await start();
  const answer = revoked();
  await begun;
  const stopped = admin.stop();
  clock.advance(5_000);
  await expect(answer).rejects.toThrow();
  await stopped;
});
