/**
 * How the registry in PostgreSQL is read and changed.
 *
 * Promise: versions rise in the order of the commits. A lock is held from before a version is drawn
 * until its commit is visible, so whoever has seen version V has seen every change up to V; without
 * it, a reader could see 8 before 7 and never ask for 7 again. Gateways say how long they answer
 * from memory under the same lock: one whose lease a change does not know of began later, and its
 * first poll sees the change.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import type { PostgresPool, Session } from './postgres-pool.ts';
import type { SharedCache } from './shared-cache.ts';
import type { AuditEntry } from './store.ts';

/** One change as it is carried out: where, when and by whom. */
export type Change = {
  readonly session: Session;
  readonly atMs: number;
  readonly by: string;
  /** Filled in by the change. */
  readonly made: Made;
};

type Made = {
  /** The newest that it drew. */
  version: number;
  /** What a cache may hold that is right no more: hashes of keys, and ids of projects. */
  readonly staleKeys: Set<string>;
  readonly staleProjects: Set<string>;
};

export type Registry = {
  read<T>(run: (session: Session) => Promise<T>): Promise<T>;
  /** One transaction; resolves once it is durable. */
  change<T>(by: string, run: (change: Change) => Promise<T>): Promise<T>;
  /** The same, and resolves once no gateway goes by the time before. */
  changeEverywhere<T>(by: string, run: (change: Change) => Promise<T>): Promise<T>;
  holdLease(leaseMs: number): Promise<void>;
};

export type RegistryOptions = {
  readonly pool: PostgresPool;
  readonly clock: Clock;
  readonly announcer: Pick<SharedCache, 'announce'> | undefined;
};

/**
 * The lock belongs to the table that gives the order, so that it is the same one whatever
 * search_path leads there; 'mibo' in ASCII keeps it apart from the locks of others.
 */
const lockSql =
  "SELECT pg_advisory_xact_lock((1835623023::bigint << 32) | 'audit_log'::regclass::oid::bigint)";
/** Of a lease: a gateway counts on it for an hour (lease-hold.ts); more, since clocks differ. */
export const isLiveSql = "seen_at > clock_timestamp() - interval '75 minutes'";
const leasesSql = `
SELECT coalesce(max(lease_ms), 0) AS lease_ms FROM gateway_leases WHERE ${isLiveSql}`;
/**
 * Read committed: the statements after the lock must see what was committed while it was waited
 * for. A change that was acknowledged survives a crash, whatever the database's own settings say.
 */
const beginSql = `
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL lock_timeout = '4s';
SET LOCAL idle_in_transaction_session_timeout = '5s';
SELECT set_config('synchronous_commit', 'on', true)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply');
${lockSql}`;
/**
 * A time, in microseconds, so that a version is never given twice: not even by a store that was
 * restored from a backup, or failed over with loss, and counts on from where it went back to.
 */
const versionSql = `
SELECT greatest(
  (SELECT coalesce(max(version), 0) + 1 FROM audit_log),
  (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
) AS version`;
const recordSql = `
INSERT INTO audit_log
  (version, committed_at, at_ms, actor, action, project_id, subject_id, details)
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7)`;

type Committed<T> = { readonly result: T; readonly made: Made; readonly leaseMs: number };

export function createRegistry({ pool, clock, announcer }: RegistryOptions): Registry {
  async function commit<T>(by: string, run: (change: Change) => Promise<T>): Promise<Committed<T>> {
    let committing = false;
    try {
      return await pool.use((session) =>
        transact(session, async () => {
          const [lease] = await session.query<{ lease_ms: number }>(leasesSql);
          const made: Made = { version: 0, staleKeys: new Set(), staleProjects: new Set() };
          const result = await run({ session, atMs: clock.wallMs(), by, made });
          committing = true;
          return { result, made, leaseMs: lease?.lease_ms ?? 0 };
        }),
      );
    } catch (thrown) {
      throw committing ? unknownOutcome(thrown) : thrown;
    }
  }

  async function announced<T>(by: string, run: (change: Change) => Promise<T>) {
    const { result, made, leaseMs } = await commit(by, run);
    const effectiveAtMs = clock.monotonicMs() + leaseMs;
    const [keys, projects] = [[...made.staleKeys], [...made.staleProjects]];
    if (keys.length + projects.length > 0) {
      await announcer?.announce({ version: made.version, keys, projects });
    }
    return { result, effectiveAtMs };
  }

  return {
    read: (run) => pool.use(run),
    change: async (by, run) => (await announced(by, run)).result,
    async changeEverywhere(by, run) {
      const { result, effectiveAtMs } = await announced(by, run);
      await until(clock, effectiveAtMs);
      return result;
    },
    holdLease: (leaseMs) =>
      pool.use((session) =>
        transact(session, async () => {
          await session.query(
            'INSERT INTO gateway_leases (lease_ms, seen_at) VALUES ($1, clock_timestamp()) ' +
              'ON CONFLICT (lease_ms) DO UPDATE SET seen_at = excluded.seen_at',
            [Math.ceil(leaseMs)],
          );
        }),
      ),
  };
}

/** The version of a change; each row that it touches carries it, and its row of the audit log. */
export async function drawVersion({ session, made }: Change): Promise<number> {
  const [row] = await session.query<{ version: number }>(versionSql);
  made.version = row?.version ?? 0;
  return made.version;
}

/** Under the version that was drawn last. */
export async function recordChange(
  { session, atMs, by, made }: Change,
  entry: Pick<AuditEntry, 'action' | 'projectId' | 'subjectId' | 'details'>,
): Promise<void> {
  const { action, projectId, subjectId } = entry;
  const details = JSON.stringify(entry.details);
  await session.query(recordSql, [made.version, atMs, by, action, projectId, subjectId, details]);
}

/** With the lock of the registry. */
async function transact<T>(session: Session, run: () => Promise<T>): Promise<T> {
  await session.query(beginSql);
  try {
    const result = await run();
    await session.query('COMMIT');
    return result;
  } catch (thrown) {
    // Where this fails too, the connection is broken, and the fault that led here tells why.
    await session.query('ROLLBACK').catch(() => undefined);
    throw thrown;
  }
}

function unknownOutcome(thrown: unknown): GatewayError {
  const hint =
    'look whether the change was made before you repeat it: the key store stopped answering ' +
    'while it was being written';
  const cause = thrown instanceof GatewayError ? thrown.cause : thrown;
  return new GatewayError('store_unavailable', hint, { cause });
}

/** Timers may run a little early. */
async function until(clock: Clock, atMs: number): Promise<void> {
  for (;;) {
    const leftMs = atMs - clock.monotonicMs();
    if (leftMs <= 0) return;
    await new Promise<void>((resolve) => clock.after(leftMs, resolve));
  }
}
