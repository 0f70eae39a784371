/**
 * Connections to one PostgreSQL server, each piece of work within a deadline.
 *
 * Promise: work that is not done by its deadline rejects, waiting for a connection included, even
 * if the server or the network hangs; what was late by either clock is thrown away, as a machine
 * that was suspended may wake up with an old answer. The connection of failed or late work is
 * destroyed, so that none is used again of which nobody knows what it still carries.
 */
import { Pool, type PoolClient, type QueryResult, types } from 'pg';
import type { Clock } from '../core/clock.ts';
import { translated } from './postgres-faults.ts';
import { RegistryError } from './registry-error.ts';

export type SqlValue = string | number | null | readonly string[] | readonly number[];

export type Session = {
  /** Rows of the last statement, as `Row` by the word of the caller. bigint comes as a number. */
  query<Row>(sql: string, values?: readonly SqlValue[]): Promise<Row[]>;
};

export type PostgresPool = {
  /** Rejects with `GatewayError` (`store_unavailable`), or as a refusal of `work`. */
  use<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** May be called twice. */
  close(): Promise<void>;
};

export type PostgresPoolOptions = {
  readonly url: string;
  readonly clock: Clock;
  readonly connectionsMax: number;
  readonly deadlineMs: number;
};

/** Shorter than any network forgets a connection, long enough to keep the next request quick. */
const idleTimeoutMs = 30_000;
const keepAliveMs = 10_000;
/** However long the work may take. */
const connectMsMax = 5_000;

export function createPostgresPool(options: PostgresPoolOptions): PostgresPool {
  const { url, clock, connectionsMax, deadlineMs } = options;
  const pool = new Pool({
    connectionString: url,
    fallback_application_name: 'mibo-gateway',
    max: connectionsMax,
    connectionTimeoutMillis: Math.min(deadlineMs, connectMsMax),
    idleTimeoutMillis: idleTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    // A store that nobody uses any more does not keep a command from ending.
    allowExitOnIdle: true,
    types: { getTypeParser: parserOf as typeof types.getTypeParser },
  } as ConstructorParameters<typeof Pool>[0]);
  // An idle connection that ends (a restart of the server) has left the pool already.
  pool.on('error', () => undefined);
  let closed = false;

  return {
    async use(work) {
      const deadline = startDeadline(clock, deadlineMs);
      const connecting = pool.connect();
      let client: PoolClient | undefined;
      try {
        client = await Promise.race([connecting, deadline.passed]);
        client.on('error', ignore);
        const result = await Promise.race([work(sessionOf(client)), deadline.passed]);
        deadline.check();
        release(client);
        return result;
      } catch (thrown) {
        if (client !== undefined) release(client, !(thrown instanceof RegistryError));
        // It comes too late for this work, and is as good as any for the next.
        else connecting.then((late) => late.release(), ignore);
        throw translated(thrown);
      } finally {
        deadline.cancel();
      }
    },
    async close() {
      if (closed) return;
      closed = true;
      await pool.end();
    },
  };
}

/** Counts are far below 2^53; the driver's own default for bigint is text. */
function parserOf(oid: number, format?: 'text' | 'binary'): unknown {
  return oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format ?? 'text');
}

function sessionOf(client: PoolClient): Session {
  return {
    async query<Row>(sql: string, values?: readonly SqlValue[]): Promise<Row[]> {
      const answer = await client.query(sql, values?.map(storable));
      // Several statements at once have one result each.
      const last = Array.isArray(answer) ? (answer as QueryResult[]).at(-1) : answer;
      return (last?.rows ?? []) as Row[];
    },
  };
}

/** PostgreSQL's text cannot hold NUL, so no stored value has one: such a text equals none. */
function storable(value: SqlValue): SqlValue {
  return typeof value === 'string' ? value.replaceAll('\0', '\u{fffd}') : value;
}

/** The queries of a broken connection reject; that it also says so by itself must not end us. */
function ignore(): void {}

function release(client: PoolClient, destroy = false): void {
  client.release(destroy);
  client.off('error', ignore);
}

type Deadline = {
  readonly passed: Promise<never>;
  /** Throws if it has passed, whether or not its timer has run. */
  check(): void;
  cancel(): void;
};

function startDeadline(clock: Clock, deadlineMs: number): Deadline {
  const startedAtMs = clock.monotonicMs();
  const startedAtWallMs = clock.wallMs();
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(ignore);
  const late = () => new Error(`PostgreSQL did not answer within ${deadlineMs} ms`);
  return {
    passed: promise,
    check() {
      const elapsedMs = clock.monotonicMs() - startedAtMs;
      if (Math.max(elapsedMs, clock.wallMs() - startedAtWallMs) > deadlineMs) throw late();
    },
    cancel: clock.after(deadlineMs, () => reject(late())),
  };
}
