/**
 * How often the gateways read keys from PostgreSQL: counted by the server itself, statement by
 * statement (pg_stat_statements), so that no gateway is asked how it behaves.
 */
import { Client } from 'pg';
import type { PostgresServer } from './postgres.ts';

export type KeyReads = {
  /** From here on the count is 0. */
  forget(): Promise<void>;
  count(): Promise<number>;
  close(): Promise<void>;
};

/** Restarts the server, so before anything uses it. */
export async function countStatements(postgres: PostgresServer): Promise<void> {
  const client = new Client({ connectionString: postgres.url });
  await client.connect();
  await client.query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
  await client.end();
  await postgres.stop();
  await postgres.start();
}

export async function openKeyReads(databaseUrl: string): Promise<KeyReads> {
  const client = new Client({ connectionString: databaseUrl });
  // The server may be stopped before this connection is closed.
  client.on('error', () => {});
  await client.connect();
  await client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
  return {
    async forget() {
      await client.query('SELECT pg_stat_statements_reset()');
    },
    async count() {
      // Only the look-up of a key compares a hash; the feed asks for versions.
      const { rows } = await client.query<{ calls: string }>(
        `SELECT coalesce(sum(calls), 0) AS calls FROM pg_stat_statements
         WHERE query ~* 'api_keys' AND query ~* '\\mhash\\s*=' AND query ~* '^\\s*(SELECT|WITH)'`,
      );
      return Number(rows[0]?.calls);
    },
    close: () => client.end(),
  };
}
