/**
 * The rule of the limits of one key, pure: one bucket per limit that holds a second's worth and
 * fills at the limit's rate (GCRA: all that is kept is when it will be full).
 *
 *   full at    now      now + 1 s
 *   ──────────┼──────────┼──────────▶   earlier than now: full; in between: something is left;
 *     full    │  left    │   debt       later than that: in debt, and nothing passes until then
 *
 * What is asked passes if anything is left, and may make debt: a batch of more than a second's
 * worth would never pass otherwise, and is paid for by the time that nothing passes after it. So
 * in any time no more passes than rate × time + a second's worth + what was asked last.
 */
import type { LimitState } from '../core/incoming.ts';

export type LimitName = LimitState['name'];

export type Limit = { readonly name: LimitName; readonly perSecond: number };

/**
 * What is asked for. Left out: that limit is not looked at. 0: it must not be in debt, and nothing
 * is taken from it.
 */
export type Cost = Readonly<Partial<Record<LimitName, number>>>;

/** The limit that is in debt for longest. */
export type Refusal = { readonly limit: Limit; readonly waitMs: number };

const burstMs = 1000;
/** Less than what fills in this time is nothing: it may be a rounding error. */
const roundingMs = 0.001;

export class KeyBucket {
  readonly #limits: readonly Limit[];
  readonly #fullAtMs: number[];

  constructor(limits: readonly Limit[]) {
    this.#limits = limits;
    this.#fullAtMs = limits.map(() => 0);
  }

  /** Takes `cost`, or says why it does not pass and takes nothing. */
  take(cost: Cost, nowMs: number): Refusal | undefined {
    const refusal = this.refusal(cost, nowMs);
    if (refusal === undefined) this.note(cost, nowMs);
    return refusal;
  }

  refusal(cost: Cost, nowMs: number): Refusal | undefined {
    let worst: Refusal | undefined;
    for (let index = 0; index < this.#limits.length; index += 1) {
      const limit = this.#limits[index] as Limit;
      if (cost[limit.name] === undefined) continue;
      const waitMs = this.waitMs(index, nowMs);
      if (waitMs > (worst?.waitMs ?? 0)) worst = { limit, waitMs };
    }
    return worst;
  }

  /** What passed, whatever was left. */
  note(cost: Cost, nowMs: number): void {
    for (let index = 0; index < this.#limits.length; index += 1) {
      const { name, perSecond } = this.#limits[index] as Limit;
      const taken = cost[name];
      if (taken === undefined) continue;
      const fullAtMs = Math.max(this.#fullAtMs[index] as number, nowMs);
      this.#fullAtMs[index] = fullAtMs + (taken * burstMs) / perSecond;
    }
  }

  /** Until anything is left of the limit at `index`; 0 if it is now. */
  waitMs(index: number, nowMs: number): number {
    const waitMs = (this.#fullAtMs[index] as number) - nowMs - burstMs + roundingMs;
    return waitMs > 0 ? Math.ceil(waitMs) : 0;
  }

  /** Negative in debt. */
  left(index: number, nowMs: number): number {
    const missingMs = Math.max(0, (this.#fullAtMs[index] as number) - nowMs);
    return (this.#limits[index] as Limit).perSecond * (1 - missingMs / burstMs);
  }

  /** As if never used: it may be forgotten. */
  isFull(nowMs: number): boolean {
    return this.#fullAtMs.every((fullAtMs) => fullAtMs <= nowMs);
  }

  /** The state of another bucket, in the order of the limits. */
  fillIn(fullInMs: readonly number[], nowMs: number): void {
    for (let index = 0; index < this.#limits.length; index += 1) {
      this.#fullAtMs[index] = nowMs + (fullInMs[index] ?? 0);
    }
  }
}
