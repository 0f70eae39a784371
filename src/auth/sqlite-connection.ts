/** One connection to the SQLite file: statements prepared once, settings, migrations. */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { type AppliedMigration, checksumOf, missingMigrations } from './migrations.ts';
import { migrations } from './sqlite-schema.ts';

/** Errors are SQLite's own; the file's door translates them. */
export type Connection = {
  /** The first row, as `Row` by the word of the caller. */
  get<Row>(sql: string, ...values: readonly SQLInputValue[]): Row | undefined;
  all<Row>(sql: string, ...values: readonly SQLInputValue[]): Row[];
  run(sql: string, ...values: readonly SQLInputValue[]): void;
  /** Several statements at once. */
  script(sql: string): void;
  close(): void;
};

/** Makes the file, readable for its owner only, with the folders above it. */
export function createDatabaseFile(path: string): void {
  makeFolder(dirname(path));
  // One that is there already keeps the permissions that its owner gave it.
  unlessThere(() => {
    closeSync(openSync(path, 'wx', 0o600));
    chmodSync(path, 0o600);
  });
}

/** Step by step: where nothing can be made (/proc), Node's own `recursive` tries for ever. */
function makeFolder(path: string): void {
  const above = dirname(path);
  if (existsSync(path) || above === path) return;
  makeFolder(above);
  // Another process may have been faster.
  unlessThere(() => mkdirSync(path, { mode: 0o700 }));
}

function unlessThere(make: () => void): void {
  try {
    make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

export function connect(path: string, busyTimeoutMs: number): Connection {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  const statements = new Map<string, StatementSync>();

  function prepared(sql: string): StatementSync {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = database.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  }

  return {
    get: <Row>(sql: string, ...values: readonly SQLInputValue[]) =>
      prepared(sql).get(...values) as Row | undefined,
    all: <Row>(sql: string, ...values: readonly SQLInputValue[]) =>
      prepared(sql).all(...values) as Row[],
    run(sql, ...values) {
      prepared(sql).run(...values);
    },
    script: (sql) => database.exec(sql),
    close: () => database.close(),
  };
}

/** The file holds tables, and they are none of ours. */
export class ForeignTables extends Error {}

/** Before anything is changed, the mode of the file included. Throws `ForeignTables`. */
export function refuseForeign(connection: Connection): void {
  const isEmpty = connection.get('SELECT 1 FROM sqlite_master') === undefined;
  const columns = connection.all<{ name: string }>(
    "SELECT name FROM pragma_table_info('schema_migrations') WHERE name IN ('number', 'checksum')",
  );
  if (!isEmpty && columns.length < 2) throw new ForeignTables('it is in use by another program');
}

/** For a connection that writes: every commit is synced, as a revocation must survive anything. */
export function makeDurable(connection: Connection): void {
  const mode = connection.get<{ journal_mode: string }>('PRAGMA journal_mode = WAL');
  if (mode?.journal_mode !== 'wal') throw new Error('the file system cannot hold a WAL database');
  connection.run('PRAGMA synchronous = FULL');
}

/**
 * Runs what is not there yet, as one transaction; two processes at once wait for each other.
 * Returns the numbers of the steps that were missing.
 */
export function migrate(connection: Connection, nowMs: number): number[] {
  connection.run('BEGIN IMMEDIATE');
  try {
    connection.run(
      'CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, ' +
        'checksum TEXT NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT',
    );
    const applied = connection.all<AppliedMigration>(
      'SELECT number, checksum FROM schema_migrations ORDER BY number',
    );
    const missing = missingMigrations(migrations, applied);
    for (const migration of missing) {
      connection.script(migration.sql);
      connection.run(
        'INSERT INTO schema_migrations (number, checksum, applied_at_ms) VALUES (?, ?, ?)',
        migration.number,
        checksumOf(migration),
        nowMs,
      );
    }
    connection.run('COMMIT');
    return missing.map(({ number }) => number);
  } catch (error) {
    rollBack(connection);
    throw error;
  }
}

/** Some faults end the transaction by themselves; then there is nothing to roll back. */
export function rollBack(connection: Connection): void {
  try {
    connection.run('ROLLBACK');
  } catch {
    // The fault that led here is the one to report.
  }
}
