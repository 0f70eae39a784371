/**
 * API key → tenant, and the registry of projects, agents and keys behind it.
 *
 * Promise: a key whose revoke has returned, or that has expired, is not accepted by the next
 * request; a store that cannot answer is `store_unavailable`, never a refused key; no key is ever
 * in an error or a log.
 * Invariant: only `lookup` decides which keys exist, and how fresh its answer is.
 * Does not route. Knows what each key may send per second; `ingest` says what it sends.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { Credentials } from '../core/incoming.ts';
import { isoTime } from '../core/iso-time.ts';
import type { Tenant } from '../core/tenant.ts';
import type { Observability } from '../observability/observability.ts';
import { createKeyReader } from './credentials.ts';
import { hashKey, hasWrongChecksum } from './key-format.ts';
import { createLastUsed } from './last-used.ts';
import { shownExpiry } from './registry-rules.ts';
import type { Grant, KeyLookup, Store } from './store.ts';
import { loggedFault, storeFault } from './store-fault.ts';
import { createUnknownKeyFailures } from './unknown-key-failures.ts';

export { createKeyCache, type KeyCache, type KeyCacheState } from './key-cache.ts';
export { maskKey } from './key-format.ts';
export {
  createKeyLimits,
  type KeyLimits,
  type KeyLimitsOptions,
  type LimitStore,
} from './limits.ts';
export {
  type Migrated,
  migrateStore,
  type OpenedStore,
  type OpenStoreOptions,
  openStore,
} from './open-store.ts';
export { createPassthroughAuth, type PassthroughAuthOptions } from './passthrough-auth.ts';
export { RegistryError, type RegistryErrorCode } from './registry-error.ts';
export {
  type AgentJson,
  type AuditJson,
  agentJson,
  auditJson,
  type KeyJson,
  keyJson,
  type ProjectJson,
  projectJson,
} from './registry-json.ts';
export type {
  Agent,
  Agents,
  AuditAction,
  AuditEntry,
  CreatedKey,
  Grant,
  KeyLookup,
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
export { loggedFault } from './store-fault.ts';

/** A key that was accepted. */
export type Authenticated = {
  readonly tenant: Tenant;
  /**
   * Checks the same key anew, without reading headers or hashing: it may have been revoked since.
   * Fails as `authenticate` does.
   */
  again(): Tenant | Promise<Tenant>;
};

export type Auth = {
  /**
   * The tenant of the key. Throws or rejects with `GatewayError`: `missing_api_key`,
   * `invalid_api_key`, `rate_limited` (unknown, like too many from this address before), and what
   * the lookup fails with. Synchronous where the lookup is. `peer` is the address of the client.
   */
  authenticate(credentials: Credentials, peer: string): Authenticated | Promise<Authenticated>;
  /** Notes an accepted use of the key, for its last-used date. */
  used(keyId: string): void;
  /** Writes the last-used dates and closes the store; does not wait for more than `graceMs`. */
  close(graceMs: number): Promise<void>;
};

export type AuthOptions = {
  /** Decides which keys exist: the store's own, or that of a cache in front of it. */
  readonly lookup: KeyLookup;
  readonly store: Pick<Store, 'recordUsage' | 'close'>;
  readonly clock: Clock;
  readonly observability: Observability;
  /** Lower-case name of the header with the key: `x-api-key`. */
  readonly apiKeyHeader: string;
  /** Different unknown keys from each client address before it has to wait; 0: no budget. */
  readonly unknownKeyFailuresPerMinute: number;
};

/** Longer than any fault's first second, short enough to see that it goes on. */
const faultLogIntervalMs = 10_000;

const suspect = { suspect: true } as const;

type Sent = { readonly key: string; readonly hash: string; readonly peer: string };

export function createAuth(options: AuthOptions): Auth {
  const { lookup, store, clock, observability } = options;
  const readKey = createKeyReader({ apiKeyHeader: options.apiKeyHeader });
  const failures = createUnknownKeyFailures({
    perMinute: options.unknownKeyFailuresPerMinute,
    clock,
  });
  const lastUsed = createLastUsed({ store, clock, log: observability.log });
  let faultLoggedAtMs = Number.NEGATIVE_INFINITY;

  /** The cause never reaches the client, so it is logged here, seldom. */
  function fault(thrown: unknown): GatewayError {
    const error = storeFault(thrown);
    if (error.kind !== 'store_unavailable') return error;
    const nowMs = clock.monotonicMs();
    if (nowMs - faultLoggedAtMs >= faultLogIntervalMs) {
      faultLoggedAtMs = nowMs;
      observability.log.error({ cause: loggedFault(error) }, 'the key store does not answer');
    }
    return error;
  }

  function find(hash: string, request?: typeof suspect): ReturnType<KeyLookup> {
    try {
      const found = lookup(hash, request);
      if (!(found instanceof Promise)) return found;
      return found.catch((thrown: unknown) => {
        throw fault(thrown);
      });
    } catch (thrown) {
      throw fault(thrown);
    }
  }

  function accept(grant: Grant | undefined, sent: Sent): Authenticated {
    if (grant === undefined) throw refuseUnknown(sent);
    return { tenant: unexpired(grant, clock), again: () => checkAgain(sent.hash) };
  }

  function refuseUnknown({ key, hash, peer }: Sent): GatewayError {
    const waitMs = failures.count(peer, hash);
    return waitMs > 0 ? tooManyUnknown(waitMs) : unknownKey(hasWrongChecksum(key));
  }

  function checkAgain(hash: string): Tenant | Promise<Tenant> {
    const found = find(hash);
    return found instanceof Promise ? found.then(stillKnown) : stillKnown(found);
  }

  /** It was known a moment ago, so that this is no guess. */
  function stillKnown(grant: Grant | undefined): Tenant {
    if (grant === undefined) throw unknownKey(false);
    return unexpired(grant, clock);
  }

  return {
    authenticate(credentials, peer) {
      const key = readKey(credentials);
      const sent: Sent = { key, hash: hashKey(key), peer };
      const found = find(sent.hash, failures.waitMs(peer) > 0 ? suspect : undefined);
      return found instanceof Promise
        ? found.then((grant) => accept(grant, sent))
        : accept(found, sent);
    },
    used: lastUsed.note,
    async close(graceMs) {
      let cancel = (): void => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(graceMs, resolve);
      });
      await Promise.race([lastUsed.close(), late]);
      await Promise.race([store.close(), late]);
      cancel();
    },
  };
}

/** Retryable, so that a client that was given its key too early gets through in the end. */
function tooManyUnknown(retryAfterMs: number): GatewayError {
  const hint = 'use another API key: this one is not known, like too many from this address before';
  return new GatewayError('rate_limited', hint, { retryAfterMs });
}

/** One text for unknown and revoked keys. The checksum says nothing about what is stored. */
function unknownKey(wrongChecksum: boolean): GatewayError {
  return new GatewayError(
    'invalid_api_key',
    wrongChecksum
      ? 'copy the API key again, whole: it is not known, and its last characters do not fit'
      : 'use another API key: this one is not known here, or was revoked',
  );
}

function unexpired({ expiresAtMs, tenant }: Grant, clock: Clock): Tenant {
  if (expiresAtMs === undefined || expiresAtMs > clock.wallMs()) return tenant;
  // Said only to who holds the key.
  const error = new GatewayError(
    'invalid_api_key',
    `make a new API key: this one expired at ${isoTime(shownExpiry(expiresAtMs))}`,
  );
  error.keyId = tenant.keyId;
  throw error;
}
