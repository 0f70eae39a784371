import { createManualClock } from './manual-clock.ts';
import { usePostgres } from './postgres-under-test.ts';
import { storeContract } from './store-contract.ts';

const postgres = usePostgres();

storeContract(async () => {
  const clock = createManualClock();
  const url = await postgres.freshDatabase();
  const sql = (statement: string) => postgres.sql(url, statement);
  return { store: await postgres.open(url, { clock }), clock, sql };
});
