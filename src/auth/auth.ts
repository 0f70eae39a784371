/**
 * API key → tenant, and the registry of projects, agents and keys behind it.
 *
 * Promise: a key that was revoked or has expired is not accepted by the next request; a store that
 * cannot answer is `store_unavailable`, never a refused key; no key is ever in an error or a log.
 * Invariant: only `lookup` of the store decides which keys exist, and how fresh its answer is.
 * Does not route, and does not limit rates.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { Credentials } from '../core/incoming.ts';
import type { Tenant } from '../core/tenant.ts';
import type { Observability } from '../observability/observability.ts';
import { createKeyReader } from './credentials.ts';
import { hashKey, hasWrongChecksum } from './key-format.ts';
import { createLastUsed } from './last-used.ts';
import type { Grant, Store } from './store.ts';
import { loggedFault, storeFault } from './store-fault.ts';

export { maskKey } from './key-format.ts';
export { createPassthroughAuth, type PassthroughAuthOptions } from './passthrough-auth.ts';
export { RegistryError, type RegistryErrorCode } from './registry-error.ts';
export { openSqliteStore, type SqliteStoreOptions } from './sqlite-store.ts';
export type {
  Agent,
  Agents,
  AuditAction,
  AuditEntry,
  CreatedKey,
  Grant,
  KeyRecord,
  Keys,
  NewKey,
  Page,
  PageRequest,
  Project,
  Projects,
  Revoked,
  Store,
} from './store.ts';
export { auditActions } from './store.ts';

export type Auth = {
  /**
   * The tenant of the key. Throws or rejects with `GatewayError`: `missing_api_key`,
   * `invalid_api_key`, `store_unavailable`. Synchronous where the store is.
   */
  authenticate(credentials: Credentials): Tenant | Promise<Tenant>;
  /** Notes an accepted use of the key, for its last-used date. */
  used(keyId: string): void;
  /** Writes the last-used dates and closes the store. */
  close(): Promise<void>;
};

export type AuthOptions = {
  readonly store: Store;
  readonly clock: Clock;
  readonly observability: Observability;
  /** Lower-case name of the header with the key: `x-api-key`. */
  readonly apiKeyHeader: string;
};

/** Longer than any fault's first second, short enough to see that it goes on. */
const faultLogIntervalMs = 10_000;

export function createAuth(options: AuthOptions): Auth {
  const { store, clock, observability } = options;
  const readKey = createKeyReader({ apiKeyHeader: options.apiKeyHeader });
  const lastUsed = createLastUsed({ store, clock, log: observability.log });
  let faultLoggedAtMs = Number.NEGATIVE_INFINITY;

  /** The cause never reaches the client, so it is logged here, seldom. */
  function fault(thrown: unknown): GatewayError {
    const error = storeFault(thrown);
    const nowMs = clock.monotonicMs();
    if (nowMs - faultLoggedAtMs >= faultLogIntervalMs) {
      faultLoggedAtMs = nowMs;
      observability.log.error({ cause: loggedFault(error) }, 'the key store does not answer');
    }
    return error;
  }

  function decide(grant: Grant | undefined, key: string): Tenant {
    if (grant === undefined) throw unknownKey(key);
    const { expiresAtMs, tenant } = grant;
    if (expiresAtMs !== undefined && expiresAtMs <= clock.wallMs()) {
      throw expiredKey(expiresAtMs, tenant.keyId);
    }
    return tenant;
  }

  function find(key: string): ReturnType<Store['lookup']> {
    try {
      const found = store.lookup(hashKey(key));
      if (!(found instanceof Promise)) return found;
      return found.catch((thrown: unknown) => {
        throw fault(thrown);
      });
    } catch (thrown) {
      throw fault(thrown);
    }
  }

  return {
    authenticate(credentials) {
      const key = readKey(credentials);
      const found = find(key);
      return found instanceof Promise
        ? found.then((grant) => decide(grant, key))
        : decide(found, key);
    },
    used: lastUsed.note,
    async close() {
      await lastUsed.close();
      await store.close();
    },
  };
}

/** One text for unknown and revoked keys. The checksum says nothing about what is stored. */
function unknownKey(key: string): GatewayError {
  return new GatewayError(
    'invalid_api_key',
    hasWrongChecksum(key)
      ? 'copy the API key again, whole: it is not known, and its last characters do not fit'
      : 'use another API key: this one is not known here, or was revoked',
  );
}

/** Said only to who holds the key. */
function expiredKey(expiresAtMs: number, keyId: string): GatewayError {
  const error = new GatewayError(
    'invalid_api_key',
    `make a new API key: this one expired at ${new Date(expiresAtMs).toISOString()}`,
  );
  error.keyId = keyId;
  return error;
}
