/**
 * Where a key cache reads from: the primary of a store that many gateways share.
 *
 * Every change of the registry has a version, and versions rise in the order of the commits. So
 * what was read in a snapshot whose newest change is `version` is right as of that version: each
 * change that came later has a higher one. All methods reject with `GatewayError`
 * (`store_unavailable`), also when the server that answers is no primary.
 */

/** A key that exists and is not revoked. */
export type StoredKey = {
  readonly keyId: string;
  readonly keyName: string;
  readonly projectId: string;
  /** `all`: every agent of the project. `agents`: those of `agents`, no others. */
  readonly scope: 'all' | 'agents';
  /** Agent ids, for scope `agents`. */
  readonly agents: readonly string[];
  readonly expiresAtMs: number | undefined;
};

/** Agent id → agent name, of one project. */
export type AgentNames = ReadonlyMap<string, string>;

/** A value, and the registry's version in the snapshot that it was read from. */
export type Versioned<Value> = { readonly version: number; readonly value: Value };

export type Changes = {
  /** The registry's version in the snapshot that the changes were read from. */
  readonly version: number;
  /**
   * The version that was asked from is one of this registry. False after a restore or a failover
   * that lost changes: versions are never given twice.
   */
  readonly knowsStart: boolean;
  /** The store knows of this gateway's lease, so that whoever revokes waits for it. */
  readonly knowsLease: boolean;
  /** All versions above the one that was asked from, in order; the newest is `version`. */
  readonly versions: readonly number[];
  /** SHA-256 of each key that changed (created, renamed, rescoped, expiry moved, revoked, …). */
  readonly keys: ReadonlyMap<string, number>;
  /** Each project whose agents changed. The value of both: the version of its newest change. */
  readonly projects: ReadonlyMap<string, number>;
  /** There were more than `changesMax`: anything may have changed, and all three are empty. */
  readonly tooMany: boolean;
};

export type KeySource = {
  readKey(hash: string): Promise<Versioned<StoredKey | undefined>>;
  /** Empty for a project that does not exist. */
  readAgents(projectId: string): Promise<Versioned<AgentNames>>;
  /** A version that is older than `ageMs` by the clock of the store; 0 if all are younger. */
  versionBefore(ageMs: number): Promise<number>;
  /** All changes with a version above `version`; `leaseMs` is that of this gateway. */
  changesSince(version: number, changesMax: number, leaseMs: number): Promise<Changes>;
  /**
   * Tells the store that this gateway answers from memory for up to `leaseMs` after a poll, so that
   * whoever revokes waits that long. Holds for an hour; to be said again before that.
   */
  holdLease(leaseMs: number): Promise<void>;
};
