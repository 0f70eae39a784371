/**
 * API key → tenant, and the registry of projects, agents and keys behind it.
 *
 * Promise: a key that was revoked or has expired is not accepted by the next request; a store that
 * cannot answer is `store_unavailable`, never a refused key; no key is ever in an error or a log.
 * Invariant: only `lookup` of the store decides which keys exist, and how fresh its answer is.
 * Does not route, and does not limit rates.
 */
import type { Clock } from '../core/clock.ts';
import type { Credentials } from '../core/incoming.ts';
import type { Tenant } from '../core/tenant.ts';
import type { Observability } from '../observability/observability.ts';
import type { Store } from './store.ts';

export { RegistryError, type RegistryErrorCode } from './registry-error.ts';
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

export type PassthroughAuthOptions = {
  /** Goes out with every delivery; '' requires the client's own key and forwards that. */
  readonly apiKey: string;
  /** The one agent to send to; '' leaves it to the next hop. */
  readonly platformId: string;
  readonly apiKeyHeader: string;
};

export type SqliteStoreOptions = {
  /** Created with its folders if it is not there. */
  readonly path: string;
  readonly clock: Clock;
  /** Keys remembered between requests; 100,000 by default. */
  readonly cachedKeysMax?: number;
};

export declare function createAuth(options: AuthOptions): Auth;
export declare function createPassthroughAuth(options: PassthroughAuthOptions): Auth;
/** Throws `GatewayError` (`store_unavailable`) with the path and the remedy. */
export declare function openSqliteStore(options: SqliteStoreOptions): Store;
/** `mibo_...xxxx`. */
export declare function maskKey(key: string): string;
