/** A real server for the tests of one file, and stores on it that are closed after each test. */
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll } from 'vitest';
import {
  openPostgresStore,
  type PostgresStore,
  type PostgresStoreOptions,
} from '../../src/auth/postgres-store.ts';
import { type PostgresServer, startPostgres } from '../harness/postgres.ts';
import { createManualClock } from './manual-clock.ts';

export type PostgresUnderTest = {
  readonly server: PostgresServer;
  freshDatabase(): Promise<string>;
  /** By default time stands still, so that no deadline passes on a busy machine. */
  open(url: string, options?: Partial<PostgresStoreOptions>): Promise<PostgresStore>;
  /** A connection past the store; closed after the test. */
  connect(url: string): Promise<Client>;
  /** The rows of one statement. */
  sql<Row>(url: string, statement: string, values?: readonly unknown[]): Promise<Row[]>;
};

export function usePostgres(): PostgresUnderTest {
  let server: PostgresServer | undefined;
  const closers: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await startPostgres();
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });
  afterAll(() => server?.close());

  function running(): PostgresServer {
    if (server === undefined) throw new Error('the server has not started');
    return server;
  }

  async function connect(url: string): Promise<Client> {
    const client = new Client({ connectionString: url });
    // A test may stop the server under it.
    client.on('error', () => undefined);
    await client.connect();
    closers.push(() => client.end());
    return client;
  }

  return {
    get server() {
      return running();
    },
    freshDatabase: () => running().freshDatabase(),
    async open(url, options = {}) {
      const store = await openPostgresStore({ url, clock: createManualClock(), ...options });
      closers.push(() => store.close());
      return store;
    },
    connect,
    async sql<Row>(url: string, statement: string, values: readonly unknown[] = []) {
      const client = await connect(url);
      return (await client.query(statement, [...values])).rows as Row[];
    },
  };
}

/** A store with one project and one key in it. */
export async function withKey(store: PostgresStore) {
  const by = 'test:ada';
  const project = await store.projects.add({ name: 'shop', by });
  const { key, record } = await store.keys.create({ projectId: project.id, name: 'k', by });
  return { project, key, record };
}
