import { describe, expect, test } from 'vitest';
import { isPostgresUrl } from '../../src/core/postgres-url.ts';

describe('a URL of PostgreSQL', () => {
  test.each([
    'postgres://db',
    'postgresql://db:5432/mibo',
    'postgres://app:pa%2Fss@db/mibo?sslmode=require&user=a%40b',
    'postgres://app:p@ss@db.internal/mibo',
    'postgres://app@[::1]:5432/mibo',
    'postgres://app@%2Fvar%2Frun%2Fpostgresql/mibo',
    'postgres:///mibo?host=/var/run/postgresql',
  ])('is %s', (text) => {
    expect(isPostgresUrl(text)).toBe(true);
  });

  test.each([
    ...['', 'postgres://', 'mysql://db/mibo', 'db:5432', 'host=db', 'postgres://db/a b'],
    ...['postgres://db:port', 'postgres://db:99999', 'postgres://db\t/mibo', 'postgres://db/a\0'],
    // Where the password is not encoded, other parts of it would be taken for host and database.
    ...['postgres://app:/x@db/mibo', 'postgres://app:1/x@db', 'postgres://app:/x'],
    ...['postgres://app:1?x@db', 'postgres://app:1#x@db', 'postgres://a,b/c', 'postgres://db;p=x'],
  ])('is not %j', (text) => {
    expect(isPostgresUrl(text)).toBe(false);
  });
});
