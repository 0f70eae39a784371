import { createManualClock } from './manual-clock.ts';
import { usePostgres } from './postgres-under-test.ts';
import { storeContract } from './store-contract.ts';

const postgres = usePostgres();

storeContract(async () => {
  const clock = createManualClock();
  return { store: await postgres.open(await postgres.freshDatabase(), { clock }), clock };
});
