/** A process that changes a store, as the commands do: PATH, what to do, and its words. */
import { openSqliteStore } from '../../src/auth/auth.ts';
import { systemClock } from '../../src/core/clock.ts';

const [path = '', what = '', first = '', second = ''] = process.argv.slice(2);
const by = 'test:other';
const store = openSqliteStore({ path, clock: systemClock });

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
