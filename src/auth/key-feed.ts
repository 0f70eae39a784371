/**
 * The feed: asks the primary every 300 ms what changed, and moves the fence.
 *
 * Promise: never two polls at a time; a poll that hangs is given up, and the next begins. What a
 * poll brings is applied in one synchronous step, and only then the fence moves, to the START of
 * that poll: what was committed before it was in its snapshot, what came later may not have been.
 * The fence moves only on polls that began while the store knew of this gateway's lease: whoever
 * revokes then waits for it. An announcement makes a poll begin at once; it may be missed.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import { momentNow } from './fence.ts';
import type { KeySource } from './key-source.ts';
import type { KeyView } from './key-view.ts';
import type { LeaseHold } from './lease-hold.ts';
import { loggedFault } from './store-fault.ts';
import { withinDeadline } from './within-deadline.ts';

export type KeyFeed = {
  /** Resolves after the first attempt, whatever became of it. */
  start(): Promise<void>;
  /** Something was announced. */
  wake(): void;
  /** No more polls; what one that is under way brings is ignored. */
  stop(): void;
};

export type KeyFeedOptions = {
  readonly source: KeySource;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
  readonly lease: LeaseHold;
  readonly view: KeyView;
  /** How old a record may be that has to be judged: the feed begins that long ago. */
  readonly recordsLiveMs: number;
};

const pollMs = 300;
/** The same as the source's own; here for a source that breaks its word. */
const pollDeadlineMs = 1_000;
/** Keeps a storm of announcements from becoming a storm of polls. */
const wakeGapMs = 20;
/** More at once than anybody makes by hand; after a bulk import, memory starts anew. */
const changesMax = 10_000;
const faultLogIntervalMs = 10_000;

export function createKeyFeed(options: KeyFeedOptions): KeyFeed {
  const { source, clock, log, lease, view } = options;
  const { fence, known } = view;
  // Three polls fit into a lease, so that one lost answer does not shut the fence.
  const intervalMs = Math.min(pollMs, options.leaseMs * 0.3);
  let isPolling = false;
  let isWoken = false;
  let isStopped = false;
  let lastStartMs = Number.NEGATIVE_INFINITY;
  let cancelNext = () => {};
  let faultLoggedAtMs = Number.NEGATIVE_INFINITY;

  function beginning(): Promise<number> {
    const read = () => source.versionBefore(options.recordsLiveMs);
    return withinDeadline(clock, pollDeadlineMs, read);
  }

  async function poll(): Promise<void> {
    const since = known.version ?? (await beginning());
    if (isStopped) return;
    if (known.version === undefined) known.startAt(since);
    const mayAnswer = lease.isHeld();
    const [startedAt, mark] = [momentNow(clock), known.mark()];
    const changes = await withinDeadline(clock, pollDeadlineMs, () =>
      source.changesSince(since, changesMax, options.leaseMs),
    );
    if (isStopped) return;
    view.apply(changes, mark);
    // A restored backup does not have it, and whoever revokes there does not wait.
    if (!changes.knowsLease) lease.forget();
    else if (mayAnswer) fence.moveTo(startedAt);
  }

  function fault(thrown: unknown): void {
    const nowMs = clock.monotonicMs();
    if (isStopped || nowMs - faultLoggedAtMs < faultLogIntervalMs) return;
    faultLoggedAtMs = nowMs;
    log.warn({ cause: loggedFault(thrown) }, 'changes of API keys cannot be read; trying again');
  }

  async function run(): Promise<void> {
    if (isStopped) return;
    cancelNext();
    isPolling = true;
    isWoken = false;
    lastStartMs = clock.monotonicMs();
    lease.renewIfDue();
    try {
      await poll();
    } catch (thrown) {
      fault(thrown);
    }
    isPolling = false;
    pollIn(isWoken ? wakeGapMs : intervalMs);
  }

  /** Counted from the start of the last poll. */
  function pollIn(gapMs: number): void {
    if (isStopped) return;
    cancelNext();
    const delayMs = Math.max(0, lastStartMs + gapMs - clock.monotonicMs());
    cancelNext = clock.after(delayMs, () => void run());
  }

  return {
    async start() {
      await lease.renew();
      await run();
    },
    wake() {
      isWoken = true;
      if (!isPolling) pollIn(wakeGapMs);
    },
    stop() {
      isStopped = true;
      cancelNext();
    },
  };
}
