/**
 * The SQLite file of the registry, with one connection that reads and one that writes.
 *
 * Promise: whatever SQLite or the file system throws leaves here as `store_unavailable`. A file
 * that was replaced (a restored backup) is noticed within half a second and opened anew; one that
 * was deleted is a fault until it is back, since a fresh, empty one would refuse every key.
 * A writer that must wait for another process waits without holding up the event loop.
 */
import { statSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import { RegistryError } from './registry-error.ts';
import {
  type Connection,
  connect,
  createDatabaseFile,
  ForeignTables,
  makeDurable,
  migrate,
  refuseForeign,
  rollBack,
} from './sqlite-connection.ts';
import { storeFault } from './store-fault.ts';

export type SqliteFile = {
  /** Another object once the file was replaced. Throws SQLite's own errors. */
  reader(): Connection;
  read<T>(run: (connection: Connection) => T): T;
  /** One transaction, synced when it resolves. */
  write<T>(run: (connection: Connection) => T): Promise<T>;
  close(): void;
};

const openTimeoutMs = 10_000;
/** Readers do not wait for writers in WAL mode; only a checkpoint or a recovery is in the way. */
const readTimeoutMs = 100;
const writeTimeoutMs = 5_000;
const writeRetryMs = 20;
const identityCheckMs = 500;
/** Kinds of faults: https://sqlite.org/rescode.html */
const sqliteBusy = 5;
const sqliteIoError = 10;
const sqliteFull = 13;

type Open = {
  readonly reader: Connection;
  readonly writer: Connection;
  /** Device and inode. */
  readonly identity: string;
};

export function openSqliteFile(path: string, clock: Clock): SqliteFile {
  let open: Open | undefined;
  let checkedAtMs = 0;
  let closed = false;

  function current(): Open {
    if (closed) throw new Error('the store is closed');
    const nowMs = clock.monotonicMs();
    if (open !== undefined && nowMs - checkedAtMs < identityCheckMs) return open;
    const identity = identityOf(path);
    if (open?.identity !== identity) disconnect();
    if (identity === undefined) throw new Error('the file of the store is gone');
    open ??= openBoth(path, identity, clock.wallMs());
    checkedAtMs = nowMs;
    return open;
  }

  function disconnect(): void {
    open?.reader.close();
    open?.writer.close();
    open = undefined;
  }

  async function write<T>(run: (connection: Connection) => T): Promise<T> {
    const giveUpAtMs = clock.monotonicMs() + writeTimeoutMs;
    for (;;) {
      try {
        return transact(current().writer, run);
      } catch (thrown) {
        if (!isBusy(thrown) || clock.monotonicMs() >= giveUpAtMs) throw changeFault(thrown);
      }
      await new Promise<void>((resolve) => clock.after(writeRetryMs, resolve));
    }
  }

  try {
    createDatabaseFile(path);
    current();
  } catch (thrown) {
    throw openFault(thrown, path);
  }
  return {
    reader: () => current().reader,
    read(run) {
      try {
        return run(current().reader);
      } catch (thrown) {
        throw translated(thrown);
      }
    },
    write,
    close() {
      closed = true;
      disconnect();
    },
  };
}

/** Makes the file and its tables where they are missing; the numbers of the steps that were. */
export function migrateSqliteFile(path: string, clock: Clock): number[] {
  try {
    createDatabaseFile(path);
    const writer = connect(path, openTimeoutMs);
    try {
      refuseForeign(writer);
      makeDurable(writer);
      return migrate(writer, clock.wallMs());
    } finally {
      writer.close();
    }
  } catch (thrown) {
    throw openFault(thrown, path);
  }
}

/** Refusals leave as they are, any fault as `store_unavailable`. */
function translated(thrown: unknown): GatewayError | RegistryError {
  return thrown instanceof RegistryError ? thrown : storeFault(thrown);
}

/** For whoever makes a change, and may know the machine that the file is on. */
function changeFault(thrown: unknown): GatewayError | RegistryError {
  if (!isOfDisk(thrown)) return translated(thrown);
  return new GatewayError('store_unavailable', diskRemedy, { cause: thrown });
}

/** For whoever starts the gateway or runs a command. */
function openFault(thrown: unknown, path: string): GatewayError {
  const hint = openHint(thrown as Error, path);
  return new GatewayError('store_unavailable', hint, { cause: thrown });
}

const diskRemedy = 'free some space on the disk of the key store, or check it';

function openHint(thrown: Error, path: string): string {
  if (thrown instanceof ForeignTables) {
    return `give the key store a file of its own: ${path} is in use by another program`;
  }
  if (isOfDisk(thrown)) return `${diskRemedy}: ${path}: ${thrown.message}`;
  return `check the file of the key store, ${path}: ${thrown.message}`;
}

function openBoth(path: string, identity: string, nowMs: number): Open {
  const writer = connect(path, openTimeoutMs);
  try {
    refuseForeign(writer);
    makeDurable(writer);
    migrate(writer, nowMs);
    // From here on `write` waits in steps, which does not block the event loop.
    writer.run('PRAGMA busy_timeout = 0');
    return { reader: connect(path, readTimeoutMs), writer, identity };
  } catch (thrown) {
    writer.close();
    throw thrown;
  }
}

function transact<T>(connection: Connection, run: (connection: Connection) => T): T {
  connection.run('BEGIN IMMEDIATE');
  try {
    const result = run(connection);
    connection.run('COMMIT');
    return result;
  } catch (thrown) {
    rollBack(connection);
    throw thrown;
  }
}

function identityOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`;
}

function isBusy(thrown: unknown): boolean {
  return kindOf(thrown) === sqliteBusy;
}

function isOfDisk(thrown: unknown): boolean {
  const kind = kindOf(thrown);
  return kind === sqliteIoError || kind === sqliteFull;
}

function kindOf(thrown: unknown): number | undefined {
  const code = (thrown as { readonly errcode?: unknown }).errcode;
  // The low byte is the kind; the rest says why.
  return typeof code === 'number' ? code & 0xff : undefined;
}
