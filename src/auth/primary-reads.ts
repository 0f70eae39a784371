/**
 * Reads of the primary, and whether what they brought still counts.
 *
 * A read is right as of its own snapshot, whatever the fence says. It counts for less than
 * `readDeadlineMs` after its start, by the clock and not by a timer, and as long as no newer change
 * of what it is about is known.
 */
import type { Clock } from '../core/clock.ts';
import { isWithin, type Moment, momentNow } from './fence.ts';
import type { AgentNames, KeySource, StoredKey, Versioned } from './key-source.ts';
import type { KnownChanges, Mark } from './known-changes.ts';
import { createSingleFlight } from './single-flight.ts';
import { storeIsLate, withinDeadline } from './within-deadline.ts';

/** What the primary answered, and when and on what knowledge it was asked. */
export type Read<Value> = Versioned<Value> & { readonly startedAt: Moment; readonly mark: Mark };

export type PrimaryReads = {
  readKey(hash: string): Promise<Read<StoredKey | undefined>>;
  /** One read for all keys of a project that come at once. */
  readAgents(projectId: string): Promise<Read<AgentNames>>;
  /** False: something changed meanwhile, read again. Throws `store_unavailable` if it is late. */
  counts(name: string, read: Read<unknown>): boolean;
  /** Reads so far. */
  readonly total: number;
};

export type PrimaryReadsOptions = {
  readonly source: KeySource;
  readonly clock: Clock;
  readonly known: KnownChanges;
  /** Not longer than the lease. */
  readonly readDeadlineMs: number;
  /** Whether a read that begins now may answer those who come later: see key-loader.ts. */
  readonly mayShare: () => boolean;
};

export function createPrimaryReads(options: PrimaryReadsOptions): PrimaryReads {
  const { source, clock, known, readDeadlineMs } = options;
  const flights = createSingleFlight<Read<AgentNames>>(options.mayShare);
  let total = 0;

  async function read<Value>(ask: () => Promise<Versioned<Value>>): Promise<Read<Value>> {
    total += 1;
    const startedAt = momentNow(clock);
    const mark = known.mark();
    const { version, value } = await withinDeadline(clock, readDeadlineMs, ask);
    return { version, value, startedAt, mark };
  }

  return {
    readKey: (hash) => read(() => source.readKey(hash)),
    readAgents: (id) => flights.join(id, () => read(() => source.readAgents(id))),
    counts(name, { version, startedAt, mark }) {
      if (!isWithin(clock, startedAt, readDeadlineMs)) throw storeIsLate();
      return known.agrees(name, version, mark);
    },
    get total() {
      return total;
    },
  };
}
