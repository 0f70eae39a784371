/**
 * A registry in memory with a feed, and reads that a test can hold: when a read sees the registry
 * (`look`) and when its answer arrives (`deliver`) are two moments.
 */
import type { AgentNames, KeySource, StoredKey, Versioned } from '../../src/auth/key-source.ts';
import type { Clock } from '../../src/core/clock.ts';
import { GatewayError } from '../../src/core/errors.ts';

export type ReadKind = 'key' | 'agents' | 'before' | 'changes' | 'lease';

export type HeldRead = {
  readonly kind: ReadKind;
  /** Of the key or the project; empty for the others. */
  readonly name: string;
  /** The registry as of now is what the answer will say. */
  look(): void;
  readonly looked: boolean;
  deliver(): void;
  fail(): void;
};

type Change = {
  readonly version: number;
  readonly before: Change | undefined;
  readonly atMs: number;
  readonly keys: readonly string[];
  readonly projects: readonly string[];
};

type Backup = {
  readonly newest: Change;
  readonly keys: ReadonlyMap<string, StoredKey>;
  readonly projects: ReadonlyMap<string, Map<string, string>>;
};

const backupsMax = 8;

export type FakeRegistry = ReturnType<typeof createFakeRegistry>;

export function createFakeRegistry(clock: Pick<Clock, 'monotonicMs'>) {
  const keys = new Map<string, StoredKey>();
  const projects = new Map<string, Map<string, string>>();
  const log: Change[] = [];
  const leasesMs = new Set<number>();
  const backups = new Map<number, Backup>();
  let version = 0;
  let given = 0;

  function commit(changedKeys: readonly string[], changedProjects: readonly string[]): number {
    // Not in step, as times are.
    given += 10;
    version = given;
    const [atMs, before] = [clock.monotonicMs(), log.at(-1)];
    const newest = { version, before, atMs, keys: changedKeys, projects: changedProjects };
    log.push(newest);
    // Few, as tests make very many changes.
    if (backups.size >= backupsMax) backups.delete(backups.keys().next().value as number);
    backups.set(version, { newest, keys: new Map(keys), projects: new Map(projects) });
    return version;
  }

  return {
    leasesMs,
    keys: keys as ReadonlyMap<string, StoredKey>,
    get version() {
      return version;
    },
    putKey(hash: string, key: Partial<StoredKey> = {}) {
      const stored: StoredKey = {
        keyId: `id-${hash}`,
        keyName: hash,
        projectId: 'p1',
        scope: 'all',
        agents: [],
        expiresAtMs: undefined,
        ...key,
      };
      keys.set(hash, stored);
      return commit([hash], []);
    },
    revoke(hash: string) {
      keys.delete(hash);
      return commit([hash], []);
    },
    addAgent(projectId: string, id: string, name = id) {
      projects.set(projectId, new Map(projects.get(projectId)).set(id, name));
      return commit([], [projectId]);
    },
    removeAgent(projectId: string, id: string) {
      const agents = new Map(projects.get(projectId));
      agents.delete(id);
      projects.set(projectId, agents);
      const scoped = [...keys].filter(([, key]) => key.agents.includes(id));
      for (const [hash, key] of scoped) {
        keys.set(hash, { ...key, agents: key.agents.filter((agent) => agent !== id) });
      }
      return commit(
        scoped.map(([hash]) => hash),
        [projectId],
      );
    },
    /** As after a restore from a backup of `at`, which may be older than all leases. */
    goBackTo(at: number) {
      const backup = backups.get(at);
      version = at;
      log.length = 0;
      for (let each = backup?.newest; each !== undefined; each = each.before) log.unshift(each);
      restore(keys, backup?.keys);
      restore(projects, backup?.projects);
    },
    /** A version that the registry had, `count` changes ago. */
    ago: (count: number) => log.at(-1 - count)?.version,
    key: (hash: string): Versioned<StoredKey | undefined> => ({ version, value: keys.get(hash) }),
    agents: (id: string): Versioned<AgentNames> => ({
      version,
      value: projects.get(id) ?? new Map(),
    }),
    before(ageMs: number): number {
      const beforeMs = clock.monotonicMs() - ageMs;
      return log.findLast(({ atMs }) => atMs < beforeMs)?.version ?? 0;
    },
    since(after: number, changesMax: number, leaseMs: number) {
      const changes = log.filter((change) => change.version > after);
      const tooMany = changes.length > changesMax;
      const changed = (names: (change: Change) => readonly string[]) =>
        new Map(
          tooMany ? [] : changes.flatMap((change) => names(change).map((n) => [n, change.version])),
        );
      const newest = { keys: changed((c) => c.keys), projects: changed((c) => c.projects) };
      return {
        version,
        knowsStart: after === 0 || log.some((change) => change.version === after),
        knowsLease: leasesMs.has(leaseMs),
        versions: tooMany ? [] : changes.map((change) => change.version),
        ...newest,
        tooMany,
      };
    },
  };
}

function restore<Value>(now: Map<string, Value>, backup: ReadonlyMap<string, Value> = new Map()) {
  now.clear();
  for (const [name, value] of backup) now.set(name, value);
}

export type FakeSource = KeySource & {
  /** Reads of these kinds wait in `reads` from now on. */
  readonly held: Set<ReadKind>;
  readonly reads: HeldRead[];
  /** Every read fails at once. */
  isDown: boolean;
  /** How many reads of each kind were begun. */
  readonly begun: Map<ReadKind, number>;
};

export const storeDown = () => new GatewayError('store_unavailable', 'the store is down');

export function createFakeSource(registry: FakeRegistry, changesMax?: number): FakeSource {
  const held = new Set<ReadKind>();
  const reads: HeldRead[] = [];
  const begun = new Map<ReadKind, number>();

  type Asked<T> = { readonly kind: ReadKind; readonly name?: string; readonly see: () => T };

  function ask<T>({ kind, name = '', see }: Asked<T>): Promise<T> {
    begun.set(kind, (begun.get(kind) ?? 0) + 1);
    if (source.isDown) return Promise.reject(storeDown());
    if (!held.has(kind)) return Promise.resolve(see());
    return new Promise((resolve, reject) => {
      let seen: { readonly value: T } | undefined;
      const leave = () => {
        const index = reads.indexOf(read);
        if (index >= 0) reads.splice(index, 1);
      };
      const read: HeldRead = {
        kind,
        name,
        get looked() {
          return seen !== undefined;
        },
        look() {
          seen ??= { value: see() };
        },
        deliver() {
          leave();
          seen ??= { value: see() };
          resolve(seen.value);
        },
        fail() {
          leave();
          reject(storeDown());
        },
      };
      reads.push(read);
    });
  }

  const source: FakeSource = {
    held,
    reads,
    isDown: false,
    begun,
    readKey: (hash) => ask({ kind: 'key', name: hash, see: () => registry.key(hash) }),
    readAgents: (id) => ask({ kind: 'agents', name: id, see: () => registry.agents(id) }),
    versionBefore: (ageMs) => ask({ kind: 'before', see: () => registry.before(ageMs) }),
    changesSince: (version, max, leaseMs) =>
      ask({ kind: 'changes', see: () => registry.since(version, changesMax ?? max, leaseMs) }),
    holdLease: (leaseMs) => ask({ kind: 'lease', see: () => void registry.leasesMs.add(leaseMs) }),
  };
  return source;
}
