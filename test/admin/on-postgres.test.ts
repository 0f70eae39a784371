/** The same, with the registry in PostgreSQL. */
import { afterAll } from 'vitest';
import { openPostgresStore } from '../../src/auth/postgres-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { startPostgres } from '../harness/postgres.ts';
import { useStore } from './admin-under-test.ts';

const postgres = await startPostgres();
afterAll(() => postgres.close());
useStore(async () => {
  return openPostgresStore({ url: await postgres.freshDatabase(), clock: systemClock });
});

await import('./projects-and-agents.test.ts');
await import('./api-keys.test.ts');
await import('./insight.test.ts');
await import('./rejections.test.ts');
