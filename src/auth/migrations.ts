/**
 * Steps that make the tables of a store, numbered from 1. A step that was released is never edited:
 * its checksum is kept in the database, and a store whose steps differ is refused.
 */
import { hash } from 'node:crypto';

export type Migration = { readonly number: number; readonly sql: string };

export type AppliedMigration = { readonly number: number; readonly checksum: string };

/** What is still to be run. Throws an `Error` whose message says why the store is refused. */
export function missingMigrations(
  migrations: readonly Migration[],
  applied: readonly AppliedMigration[],
): readonly Migration[] {
  applied.forEach(({ number, checksum }, index) => {
    const known = migrations[index];
    if (known === undefined) {
      throw new Error('a newer version of this program has changed its tables: use that version');
    }
    if (known.number !== number || checksumOf(known) !== checksum) {
      throw new Error(`its tables were made by another program (step ${number} differs)`);
    }
  });
  return migrations.slice(applied.length);
}

export function checksumOf(migration: Migration): string {
  return hash('sha256', migration.sql, 'hex');
}
