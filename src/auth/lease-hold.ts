/**
 * Keeps the store informed that this gateway answers from memory for as long as its lease.
 *
 * The store remembers it for 75 minutes. It is said again every 20, and counts here for 60: memory
 * stops to count before the store forgets, whatever the two clocks make of an hour.
 */
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import { isWithin, type Moment, momentNow } from './fence.ts';
import type { KeySource } from './key-source.ts';
import { loggedFault } from './store-fault.ts';
import { withinDeadline } from './within-deadline.ts';

export type LeaseHold = {
  /** Whether the store knows of the lease now. */
  isHeld(): boolean;
  /** Never rejects. */
  renew(): Promise<void>;
  renewIfDue(): void;
  /** The store does not know of it, whatever was said before. */
  forget(): void;
};

export type LeaseHoldOptions = {
  readonly source: Pick<KeySource, 'holdLease'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
};

const minuteMs = 60_000;
const renewAfterMs = 20 * minuteMs;
const heldForMs = 60 * minuteMs;
const deadlineMs = 1_000;
/** So that a store without this table, or without the right to write it, is not asked all day. */
const retryMs = 1_000;

export function createLeaseHold({ source, clock, log, leaseMs }: LeaseHoldOptions): LeaseHold {
  /** The start of the call, which the store's own note of it cannot precede. */
  let heldSince: Moment | undefined;
  let nextTryMs = Number.NEGATIVE_INFINITY;
  let isRenewing = false;
  let isFailing = false;

  const wasHeldWithin = (ms: number) => heldSince !== undefined && isWithin(clock, heldSince, ms);

  async function renew(): Promise<void> {
    const startedAt = momentNow(clock);
    isRenewing = true;
    try {
      await withinDeadline(clock, deadlineMs, () => source.holdLease(leaseMs));
      heldSince = startedAt;
      isFailing = false;
    } catch (thrown) {
      if (!isFailing) log.warn({ cause: loggedFault(thrown) }, 'the lease is not noted; retrying');
      isFailing = true;
      nextTryMs = clock.monotonicMs() + retryMs;
    }
    isRenewing = false;
  }

  return {
    isHeld: () => wasHeldWithin(heldForMs),
    renew,
    renewIfDue() {
      if (isRenewing || wasHeldWithin(renewAfterMs) || clock.monotonicMs() < nextTryMs) return;
      void renew();
    },
    forget() {
      heldSince = undefined;
    },
  };
}
