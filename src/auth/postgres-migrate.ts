/**
 * Reaching the server for the first time, and making its tables.
 *
 * Promise: programs that open a new database at once wait for each other; a store whose tables are
 * all there is opened without any right to make some; one of another or a newer program is refused.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../observability/observability.ts';
import {
  type AppliedMigration,
  checksumOf,
  type Migration,
  missingMigrations,
} from './migrations.ts';
import { maySoonAnswer, openFault, targetOf } from './postgres-faults.ts';
import { createPostgresPool, type Session } from './postgres-pool.ts';
import { migrations } from './postgres-schema.ts';

export type MigratePostgresOptions = {
  /** postgres://user:password@host:port/database */
  readonly url: string;
  readonly clock: Clock;
  readonly log?: Log;
  /** How long a server is waited for that does not answer yet; 0 by default. */
  readonly waitMs?: number;
};

/** A server may let us in and then answer nothing, as a pooler does that has no room. */
const lookDeadlineMs = 5_000;
/** An index on a large table takes its time, and so may another program that makes one. */
const makeDeadlineMs = 600_000;
const retryMs = 250;
/** 'mibo' in ASCII; with the schema's own hash it is the key of an advisory lock. */
const lockClass = 0x6d69626f;

/**
 * Resolves with the numbers of the steps that were missing. Rejects with `GatewayError`
 * (`store_unavailable`), whose hint says what to check, never with the password.
 */
export async function migratePostgres(options: MigratePostgresOptions): Promise<number[]> {
  const { url, clock } = options;
  const target = targetOf(url);
  const connection = { url, clock, connectionsMax: 1 };
  const looking = createPostgresPool({ ...connection, deadlineMs: lookDeadlineMs });
  const making = createPostgresPool({ ...connection, deadlineMs: makeDeadlineMs });
  try {
    const done = await retrying(options, async () => {
      const missing = await looking.use(missingIn);
      return missing.length === 0 ? missing : making.use(makeMissing);
    });
    return done.map(({ number }) => number);
  } catch (thrown) {
    throw openFault(thrown as GatewayError, target);
  } finally {
    await Promise.all([looking.close(), making.close()]);
  }
}

async function retrying<T>(options: MigratePostgresOptions, run: () => Promise<T>): Promise<T> {
  const { clock, log, waitMs = 0 } = options;
  const giveUpAtMs = clock.monotonicMs() + waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (thrown) {
      const passing = thrown instanceof GatewayError && maySoonAnswer(thrown);
      if (!passing || clock.monotonicMs() >= giveUpAtMs) throw thrown;
      if (attempt === 1) {
        const { hint } = openFault(thrown, targetOf(options.url));
        log?.warn({ waitMs }, `waiting for the key store; ${hint}`);
      }
    }
    await new Promise<void>((resolve) => clock.after(retryMs, resolve));
  }
}

async function missingIn(session: Session): Promise<readonly Migration[]> {
  await refuseReplica(session);
  return missingMigrations(migrations, await appliedTo(session));
}

async function makeMissing(session: Session): Promise<readonly Migration[]> {
  await session.query(
    'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ' +
      `SELECT pg_advisory_xact_lock(${lockClass}, hashtext(current_schema()))`,
  );
  // Another program may have been faster.
  const left = missingMigrations(migrations, await appliedTo(session));
  await session.query(
    'CREATE TABLE IF NOT EXISTS gateway_migrations (number integer PRIMARY KEY, ' +
      'checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
  );
  for (const migration of left) {
    await session.query(migration.sql);
    await session.query('INSERT INTO gateway_migrations (number, checksum) VALUES ($1, $2)', [
      migration.number,
      checksumOf(migration),
    ]);
  }
  await session.query('COMMIT');
  return left;
}

async function refuseReplica(session: Session): Promise<void> {
  const [row] = await session.query<{ replica: boolean }>('SELECT pg_is_in_recovery() AS replica');
  if (row?.replica === false) return;
  throw new Error('it is a replica, which may be behind: use the address of the primary');
}

/** Asks the catalog: a name that was looked up in vain is remembered while a lock is waited for. */
async function appliedTo(session: Session): Promise<AppliedMigration[]> {
  const sql =
    "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'gateway_migrations' " +
    'AND pg_table_is_visible(oid)) AS there';
  const [row] = await session.query<{ there: boolean }>(sql);
  if (row?.there !== true) return [];
  return session.query('SELECT number, checksum FROM gateway_migrations ORDER BY number');
}
