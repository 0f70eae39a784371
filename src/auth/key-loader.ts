/**
 * Finds a key that is not in memory: in the shared cache, else on the primary.
 *
 * One flight for each hash, also while the fence is shut. Whoever shares one may get the answer of
 * a read that began before they came, and yet none from before a revoke that returned before they
 * came: a read counts for less than `readDeadlineMs`, which is at most the lease, after its start.
 * A revoke that it missed was committed after that start and returns a lease after its commit; by
 * then the read counts no more. What rests on the shared cache or on memory is decided with an open
 * fence, so on a poll that began less than a lease before: the same. All of this holds only if the
 * store knew of the lease when the flight began, since a revoke does not wait for anyone else: a
 * flight that began without is not shared.
 */
import type { Clock } from '../core/clock.ts';
import type { KeySource } from './key-source.ts';
import type { KeyView } from './key-view.ts';
import { createPrimaryLookup } from './primary-lookup.ts';
import { createPrimaryReads } from './primary-reads.ts';
import { createReadPlaces } from './read-places.ts';
import type { SharedCache } from './shared-cache.ts';
import { createSharedLookup } from './shared-lookup.ts';
import { createSingleFlight } from './single-flight.ts';
import type { Grant } from './store.ts';

export type KeyLoader = {
  load(hash: string, isSuspect: boolean): Promise<Grant | undefined>;
  counters(): { sharedHits: number; storeReads: number; refusedBySemaphore: number };
};

export type KeyLoaderOptions = {
  readonly source: KeySource;
  readonly shared: SharedCache | undefined;
  readonly clock: Clock;
  readonly view: KeyView;
  readonly leaseMs: number;
  /** Whether the store knows of this gateway's lease now. */
  readonly holdsLease: () => boolean;
};

const readDeadlineMsMax = 500;
const placesMax = 32;
const suspectPlacesMax = 2;
const lineMax = 1_024;

export function createKeyLoader(options: KeyLoaderOptions): KeyLoader {
  const { source, shared, clock, view, holdsLease } = options;
  const readDeadlineMs = Math.min(readDeadlineMsMax, options.leaseMs);
  const reads = createPrimaryReads({
    ...{ source, clock, known: view.known, readDeadlineMs },
    mayShare: holdsLease,
  });
  const fromPrimary = createPrimaryLookup({ clock, view, reads, shared, readDeadlineMs });
  const fromShared = shared === undefined ? undefined : createSharedLookup({ shared, clock, view });
  const waitMsMax = readDeadlineMs;
  const places = createReadPlaces({ clock, placesMax, suspectPlacesMax, lineMax, waitMsMax });
  const flights = createSingleFlight<Grant | undefined>(holdsLease);
  const suspectFlights = createSingleFlight<Grant | undefined>(holdsLease);
  let sharedHits = 0;

  async function find(hash: string, isSuspect: boolean): Promise<Grant | undefined> {
    const found = await fromShared?.(hash);
    if (found !== undefined) {
      sharedHits += 1;
      return found;
    }
    if (view.memory.knows(hash)) return fromPrimary(hash);
    const giveBack = await places.take(isSuspect);
    try {
      return await fromPrimary(hash);
    } finally {
      giveBack();
    }
  }

  return {
    load(hash, isSuspect) {
      const run = () => find(hash, isSuspect);
      if (!isSuspect) return flights.join(hash, run);
      // A suspect's flight may be refused for want of its few places; others do not share that.
      return flights.underWay(hash) ?? suspectFlights.join(hash, run);
    },
    counters: () => ({
      sharedHits,
      storeReads: reads.total,
      refusedBySemaphore: places.refused,
    }),
  };
}
