import { afterAll, afterEach, beforeAll } from 'vitest';
import { openPostgresStore } from '../../src/auth/postgres-store.ts';
import type { Store } from '../../src/auth/store.ts';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';
import { createManualClock } from './manual-clock.ts';
import { storeContract } from './store-contract.ts';

let server: PostgresServer;
const stores: Store[] = [];

beforeAll(async () => {
  server = await startPostgres();
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});
afterAll(() => server.close());

storeContract(async () => {
  const clock = createManualClock();
  const store = await openPostgresStore({ url: await server.freshDatabase(), clock });
  stores.push(store);
  return { store, clock };
});
