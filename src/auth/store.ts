/**
 * Where projects, agents and API keys are kept: the types that every kind of store implements and
 * that the commands, the admin API and the console use.
 *
 * Promise: every change and its audit row are one transaction; when the call returns, it is on
 * disk and holds for every gateway on this store (a key's new name: a moment later). Versions rise
 * in the order of the commits.
 * Invariants: an agent belongs to one project; a scope names agents of its key's own project only;
 * a key that is scoped to agents never becomes unrestricted, even if its last agent is removed.
 *
 * Refused changes reject with `RegistryError`; a store that cannot answer with `GatewayError`
 * (`store_unavailable`). Times are Unix milliseconds. Ids of agents are lower-case UUIDs.
 */
import type { Tenant } from '../core/tenant.ts';

export type Project = {
  /** `prj_` and 16 letters and digits. */
  readonly id: string;
  /** Unique. */
  readonly name: string;
  readonly createdAtMs: number;
};

export type Agent = {
  /** Mibo's own UUID of any version, lower-case. Belongs to one project of the whole store. */
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly createdAtMs: number;
};

/** What is known of a key once its secret was shown. */
export type KeyRecord = {
  /** `key_` and 16 letters and digits. Not secret. */
  readonly id: string;
  readonly projectId: string;
  /** For people; not unique. */
  readonly name: string;
  /** `mibo_...xxxx`, the last four characters. */
  readonly maskedKey: string;
  /** `all`: every agent of the project, later ones too. `agents`: those of `agents`, no others. */
  readonly scope: 'all' | 'agents';
  /** Agent ids, for scope `agents`; empty once all of them were removed: it then reaches none. */
  readonly agents: readonly string[];
  readonly status: 'active' | 'expired';
  readonly createdAtMs: number;
  readonly createdBy: string;
  /** Full minutes; may be 30 s behind. */
  readonly lastUsedAtMs: number | undefined;
  readonly expiresAtMs: number | undefined;
  /** The id of the key that this one replaces. */
  readonly rotatedFrom: string | undefined;
};

/** `key` is the only time that the secret is seen. */
export type CreatedKey = { readonly record: KeyRecord; readonly key: string };

export type NewKey = {
  readonly projectId: string;
  readonly name: string;
  /** Left out: every agent of the project. An empty list is refused. */
  readonly agents?: readonly string[];
  /** Left out: never. Must lie in the future. */
  readonly expiresAtMs?: number;
  readonly by: string;
};

export const auditActions = [
  'project.add',
  'agent.add',
  'agent.remove',
  'key.create',
  'key.import',
  'key.rename',
  'key.scope',
  'key.rotate',
  'key.revoke',
] as const;
export type AuditAction = (typeof auditActions)[number];

export type AuditEntry = {
  /** The version of the registry that this change made; rises in commit order. */
  readonly version: number;
  readonly atMs: number;
  /** Who did it, in the words of the caller: `cli:ada`. */
  readonly by: string;
  readonly action: AuditAction;
  readonly projectId: string;
  /** The id of the project, agent or key that changed. */
  readonly subjectId: string;
  /** What it was or became: names, masked key, scope. Never a secret. */
  readonly details: Readonly<Record<string, unknown>>;
};

/** One page. `nextCursor` is there if more follows; hand it to the next call. */
export type Page<T> = { readonly items: readonly T[]; readonly nextCursor?: string };

/** `limit`: 1 to 1000, 1000 by default. */
export type PageRequest = { readonly cursor?: string; readonly limit?: number };

export type Projects = {
  add(project: { readonly name: string; readonly by: string }): Promise<Project>;
  /** Oldest first. */
  list(page?: PageRequest): Promise<Page<Project>>;
  /** By id or name; rejects with `not_found`. */
  find(idOrName: string): Promise<Project>;
};

export type Agents = {
  /**
   * `id` in any case; stored lower-case. `conflict` if any project has it already, `invalid` if
   * this one has 10,000 others.
   */
  add(agent: {
    readonly projectId: string;
    readonly id: string;
    readonly name: string;
    readonly by: string;
  }): Promise<Agent>;
  /** Oldest first. */
  list(query: PageRequest & { readonly projectId: string }): Promise<Page<Agent>>;
  /** Keys that were scoped to it lose it; one that has no other agent left reaches none. */
  remove(agent: {
    readonly projectId: string;
    readonly id: string;
    readonly by: string;
  }): Promise<void>;
};

export type Revoked = {
  /** No gateway accepts the key any more. */
  readonly effective: true;
  /** How long that took, from the start of the call. */
  readonly effectiveAfterMs: number;
};

export type Keys = {
  create(key: NewKey): Promise<CreatedKey>;
  /** Takes over a key that exists elsewhere; `conflict` if it is known or was revoked here. */
  importKey(key: NewKey & { readonly key: string }): Promise<KeyRecord>;
  /** Oldest first, revoked ones never; of one project or of all. */
  list(query?: PageRequest & { readonly projectId?: string }): Promise<Page<KeyRecord>>;
  get(id: string): Promise<KeyRecord>;
  rename(id: string, change: { readonly name: string; readonly by: string }): Promise<KeyRecord>;
  /** With `name` it is renamed too: both, or neither if one of them is refused. */
  setScope(
    id: string,
    change: {
      readonly agents: 'all' | readonly string[];
      readonly name?: string;
      readonly by: string;
    },
  ): Promise<KeyRecord>;
  /**
   * A new key with the name, the scope and the lifetime of the old one; the old one expires after
   * the grace, or when it would have anyway. `graceMs` 0 ends it at once, whatever
   * the clocks of the gateways say.
   */
  rotate(
    id: string,
    change: { readonly graceMs: number; readonly by: string },
  ): Promise<CreatedKey>;
  /**
   * For good: the key is gone from lists and cannot be imported again. The audit keeps it. With
   * `projectId`, a key of another project is `not_found`. One that is revoked already is so too,
   * and not before it is true everywhere.
   */
  revoke(
    id: string,
    change: { readonly by: string; readonly projectId?: string },
  ): Promise<Revoked>;
};

/**
 * A key that exists and is not revoked; whether it has expired is for the caller to check, by the
 * wall clock. `expiresAtMs` of one that was ended is negative, so that no clock is before it.
 */
export type Grant = { readonly tenant: Tenant; readonly expiresAtMs: number | undefined };

/**
 * The key with this SHA-256 (lower-case hex), or undefined. At once where it can be. Never
 * undefined because the store is in trouble: that throws, or rejects with, `store_unavailable`.
 * `suspect`: the client has guessed before; where reads are scarce, others go first.
 */
export type KeyLookup = (
  hash: string,
  options?: { readonly suspect?: boolean },
) => Grant | undefined | Promise<Grant | undefined>;

export type Store = {
  readonly projects: Projects;
  readonly agents: Agents;
  readonly keys: Keys;
  readonly audit: {
    /** Newest first. */
    list(
      query?: PageRequest & { readonly projectId?: string; readonly subjectId?: string },
    ): Promise<Page<AuditEntry>>;
  };
  readonly lookup: KeyLookup;
  /** Key id → last use; only ever moves forward. Unknown ids are ignored. Makes no version. */
  recordUsage(lastUsedAtMs: ReadonlyMap<string, number>): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
};
