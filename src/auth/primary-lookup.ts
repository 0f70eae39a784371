/** A key from the primary: within one deadline in all, one probe at most of one that fails. */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import { grantOf } from './key-memory.ts';
import type { StoredKey, Versioned } from './key-source.ts';
import type { KeyView } from './key-view.ts';
import { createPrimaryGate } from './primary-gate.ts';
import type { PrimaryReads } from './primary-reads.ts';
import type { ProjectAgents } from './project-agents.ts';
import type { SharedCache } from './shared-cache.ts';
import type { Grant } from './store.ts';
import { storeIsLate, withinDeadline } from './within-deadline.ts';

export type PrimaryLookup = (hash: string) => Promise<Grant | undefined>;

export type PrimaryLookupOptions = {
  readonly clock: Clock;
  readonly view: KeyView;
  readonly reads: PrimaryReads;
  /** Is filled with what was read. */
  readonly shared: SharedCache | undefined;
  readonly readDeadlineMs: number;
};

type Found = { readonly grant: Grant | undefined };

/** A key that changes under each of so many reads is not worth a fourth. */
const readsMax = 3;

export function createPrimaryLookup(options: PrimaryLookupOptions): PrimaryLookup {
  const { clock, view, reads, shared, readDeadlineMs } = options;
  const { fence, known, memory, unknownKeys } = view;
  const gate = createPrimaryGate(clock);

  function unknown(hash: string, version: number): Found {
    memory.remove(hash);
    if (known.version !== undefined) unknownKeys.put(hash, version);
    return { grant: undefined };
  }

  /** Its checks were made in the same turn. */
  function keep(hash: string, key: Versioned<StoredKey>, project: ProjectAgents): Found {
    // As long as the feed has no cursor, no change would ever end what is in memory.
    if (known.version === undefined) return { grant: grantOf(key.value, project.agents) };
    void shared?.fillKey(hash, key);
    return { grant: memory.put(hash, key, project) };
  }

  /** Undefined: something changed meanwhile. */
  async function readOnce(hash: string, answered: () => void): Promise<Found | undefined> {
    const read = await reads.readKey(hash);
    answered();
    if (!reads.counts(hash, read)) return undefined;
    const { version, value } = read;
    if (value === undefined) return unknown(hash, version);
    const { projectId } = value;
    const nowMs = clock.monotonicMs();
    const inMemory = fence.isOpen() ? memory.projects.get(projectId, nowMs) : undefined;
    if (inMemory !== undefined) return keep(hash, { version, value }, inMemory);
    const agents = await reads.readAgents(projectId);
    if (!reads.counts(hash, read) || !reads.counts(projectId, agents)) return undefined;
    void shared?.fillAgents(projectId, { version: agents.version, value: agents.value });
    return keep(hash, { version, value }, memory.projects.loaded(projectId, agents));
  }

  async function readUntilItCounts(hash: string, answered: () => void): Promise<Grant | undefined> {
    for (let count = 0; count < readsMax; count += 1) {
      const found = await readOnce(hash, answered);
      if (found !== undefined) return found.grant;
    }
    throw new GatewayError(
      'store_unavailable',
      'send it again shortly: the API key or its project is being changed',
    );
  }

  return async (hash) => {
    const leave = gate.enter(hash);
    if (leave === undefined) throw storeIsLate();
    // What fails after that, such as a project too large to read in time, is no fault of all.
    let hasAnswered = false;
    const answered = () => {
      hasAnswered = true;
    };
    try {
      const read = () => readUntilItCounts(hash, answered);
      return await withinDeadline(clock, readDeadlineMs, read);
    } finally {
      leave(hasAnswered);
    }
  };
}
