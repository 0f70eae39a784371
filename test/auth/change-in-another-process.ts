/** A process that changes a store, as the commands do: PATH or URL, what to do, and its words. */
import { openPostgresStore } from '../../src/auth/postgres-store.ts';
import { openSqliteStore } from '../../src/auth/sqlite-store.ts';
import { systemClock } from '../../src/core/clock.ts';

const [place = '', what = '', first = '', second = ''] = process.argv.slice(2);
const by = 'test:other';
const store = place.startsWith('postgres://')
  ? await openPostgresStore({ url: place, clock: systemClock })
  : openSqliteStore({ path: place, clock: systemClock });

if (what === 'add-projects') {
  for (let index = 0; index < Number(second); index += 1) {
    await store.projects.add({ name: `${first}-${index}`, by });
  }
}
if (what === 'use') await store.recordUsage(new Map([[first, 60_000]]));
if (what === 'revoke' || what === 'revoke-and-hang') {
  console.log(JSON.stringify(await store.keys.revoke(first, { by })));
}
if (what === 'revoke-and-hang') setInterval(() => undefined, 1_000);
else await store.close();
