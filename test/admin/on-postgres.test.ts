/** The same, with the registry in PostgreSQL. */
import { afterAll, expect, test } from 'vitest';
import { openPostgresStore } from '../../src/auth/postgres-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createManualClock } from '../auth/manual-clock.ts';
import { startPostgres } from '../harness/postgres.ts';
import { startAdmin, useStore } from './admin-under-test.ts';

const postgres = await startPostgres();
afterAll(() => postgres.close());
useStore(async () => {
  return openPostgresStore({ url: await postgres.freshDatabase(), clock: systemClock });
});

await import('./projects-and-agents.test.ts');
await import('./api-keys.test.ts');
await import('./insight.test.ts');
await import('./rejections.test.ts');

test('a revoked key is not called gone while a gateway may still accept it', async () => {
  const clock = createManualClock();
  const { after } = clock;
  const waits = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const left = [...waits];
  clock.after = (delayMs, run) => {
    if (delayMs === 1_000) left.shift()?.resolve();
    return after(delayMs, run);
  };
  const store = await openPostgresStore({ url: await postgres.freshDatabase(), clock });
  const { call, ok } = await startAdmin({ store });
  await ok('POST', '/projects', { name: 'shop' });
  const { id } = await ok('POST', '/projects/shop/api-keys', { name: 'k' });
  await store.source.holdLease(1_000);
  const revoke = () => call('DELETE', `/projects/shop/api-keys/${id}`);
  const first = revoke();
  await waits[0]?.promise;
  const second = revoke();
  let isAnswered = false;
  second.then(() => {
    isAnswered = true;
  });
  await Promise.race([waits[1]?.promise, second]);
  expect(isAnswered).toBe(false);
  clock.advance(1_000);
  expect([(await first).status, (await second).status]).toEqual([200, 404]);
  await store.close();
});
