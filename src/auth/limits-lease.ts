/**
 * The limits of one key that many gateways share.
 *
 * The strict bucket is in the shared store. A gateway takes what a request needs and, if the key is
 * busy here, a portion more, from which the next requests are served without asking; at half of it
 * the next portion is fetched in the background. The portion follows the pace of the key on this
 * gateway, so that gateways on which it is seldom used hold nothing back from the others.
 *
 * Promise: over all gateways no more is handed out than the bucket has, debt of one request aside.
 * A request waits for the store only if nothing that was leased covers it, never longer than
 * the store's deadline or so; one question per key is under way at a time. A store that does not
 * answer leaves each gateway to a bucket of its own with the full limits, kept up all along.
 */
import type { Clock } from '../core/clock.ts';
import { type Cost, KeyBucket, type Limit, type Refusal } from './limits-bucket.ts';

/** In the order of the limits. */
export type Want = {
  readonly limit: Limit;
  /** Needed, even if it makes debt; undefined: this limit is not in question. */
  readonly need: number | undefined;
  /** Wished on top, as far as something is left. Whole numbers. */
  readonly extra: number;
};

export type Leased = {
  /** All needs were met; if one limit was in debt, none was, and nothing was taken. */
  readonly granted: boolean;
  /** What there was of the extras. */
  readonly extras: readonly number[];
  /** Milliseconds until each bucket is full again; more than a second is debt. */
  readonly fullInMs: readonly number[];
};

/** Buckets that gateways share. Undefined: it does not answer, or not in time. Never rejects. */
export type LimitStore = {
  lease(keyId: string, wants: readonly Want[]): Promise<Leased | undefined>;
};

/** More in the hands of one gateway would make the limit of many coarse. */
const portionOfSecond = 0.1;
const portionMs = 1000 * portionOfSecond;
/** Older portions are forgotten: spent later they would come on top of what has filled up since. */
const leaseMs = 1000;
/** After that a request is done with waiting, however the store answers others. */
const waitMsMax = 50;

export type LeasedBucketOptions = {
  readonly keyId: string;
  readonly limits: readonly Limit[];
  readonly store: LimitStore;
  readonly clock: Clock;
};

export class LeasedBucket {
  readonly #options: LeasedBucketOptions;
  /** What passes here, for when the store does not answer. */
  readonly #local: KeyBucket;
  /** The store's bucket as it was last seen; what others take makes it only emptier. */
  readonly #seen: KeyBucket;
  readonly #leased: number[];
  readonly #portion: number[];
  /** Passed here since the last question. */
  readonly #passed: number[];
  /** Needed by all who wait. */
  readonly #awaited: number[];
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #leasedAtMs = Number.NEGATIVE_INFINITY;
  #question: Promise<Leased | undefined> | undefined;

  constructor(options: LeasedBucketOptions) {
    this.#options = options;
    this.#local = new KeyBucket(options.limits);
    this.#seen = new KeyBucket(options.limits);
    const zeros = () => options.limits.map(() => 0);
    this.#leased = zeros();
    this.#portion = zeros();
    this.#passed = zeros();
    this.#awaited = zeros();
  }

  take(cost: Cost, nowMs: number): Refusal | undefined | Promise<Refusal | undefined> {
    if (nowMs - this.#leasedAtMs > leaseMs) this.#leased.fill(0);
    if (this.#covers(cost, nowMs)) {
      this.#spend(cost, nowMs);
      if (this.#isLow() && this.#question === undefined) this.#ask({});
      return undefined;
    }
    return this.#knownRefusal(cost, nowMs) ?? this.#takeShared(cost);
  }

  /** A debt counts for so long after it was seen: the store may have been emptied since. */
  #knownRefusal(cost: Cost, nowMs: number): Refusal | undefined {
    if (nowMs - this.#leasedAtMs > leaseMs) return undefined;
    return this.#seen.refusal(cost, nowMs);
  }

  async #takeShared(cost: Cost): Promise<Refusal | undefined> {
    this.#add(this.#awaited, cost, 1);
    try {
      return await this.#takeOnceAnswered(cost);
    } finally {
      this.#add(this.#awaited, cost, -1);
    }
  }

  async #takeOnceAnswered(cost: Cost): Promise<Refusal | undefined> {
    const { clock } = this.#options;
    const endsAtMs = clock.monotonicMs() + waitMsMax;
    for (;;) {
      const joined = this.#question;
      const leased = await (joined ?? this.#ask(cost));
      const nowMs = clock.monotonicMs();
      if (leased === undefined) return this.#local.take(cost, nowMs);
      if (joined === undefined && leased.granted) {
        this.#note(cost, nowMs);
        return undefined;
      }
      if (this.#covers(cost, nowMs)) {
        this.#spend(cost, nowMs);
        return undefined;
      }
      const refusal = this.#seen.refusal(cost, nowMs);
      if (refusal !== undefined) return refusal;
      if (nowMs >= endsAtMs) return this.#local.take(cost, nowMs);
    }
  }

  #ask(need: Cost): Promise<Leased | undefined> {
    const { limits, store, keyId, clock } = this.#options;
    const wants = limits.map((limit, index) => ({
      limit,
      need: need[limit.name],
      extra: this.#extraOf(index, need, clock.monotonicMs()),
    }));
    this.#askedAtMs = clock.monotonicMs();
    this.#passed.fill(0);
    this.#question = store.lease(keyId, wants).then((leased) => {
      this.#question = undefined;
      if (leased !== undefined) this.#keep(leased);
      return leased;
    });
    return this.#question;
  }

  /** For the next tenth of a second at the pace since the last question, and for who else waits. */
  #extraOf(index: number, need: Cost, nowMs: number): number {
    const { name, perSecond } = this.#options.limits[index] as Limit;
    const elapsedMs = nowMs - this.#askedAtMs;
    // Questions come at half of a portion: four times what passed since doubles it, at most.
    const atThisPace = (this.#passed[index] as number) * Math.min(4, portionMs / elapsedMs);
    const portion = Math.min(perSecond * portionOfSecond, atThisPace);
    const others = (this.#awaited[index] as number) - (need[name] ?? 0);
    return Math.max(0, Math.floor(portion + others - (this.#leased[index] as number)));
  }

  #keep({ extras, fullInMs }: Leased): void {
    this.#leasedAtMs = this.#options.clock.monotonicMs();
    this.#seen.fillIn(fullInMs, this.#leasedAtMs);
    extras.forEach((extra, index) => {
      this.#leased[index] = (this.#leased[index] as number) + extra;
      this.#portion[index] = this.#leased[index] as number;
    });
  }

  /** What costs nothing passes while no debt is known: its real cost is asked for later. */
  #covers(cost: Cost, nowMs: number): boolean {
    const { limits } = this.#options;
    for (let index = 0; index < limits.length; index += 1) {
      const need = cost[(limits[index] as Limit).name];
      if (need === undefined) continue;
      const leased = this.#leased[index] as number;
      if (need === 0 ? leased <= 0 && this.#seen.waitMs(index, nowMs) > 0 : leased < need) {
        return false;
      }
    }
    return true;
  }

  #spend(cost: Cost, nowMs: number): void {
    this.#add(this.#leased, cost, -1);
    this.#note(cost, nowMs);
  }

  #note(cost: Cost, nowMs: number): void {
    this.#add(this.#passed, cost, 1);
    this.#local.note(cost, nowMs);
  }

  #add(to: number[], cost: Cost, sign: 1 | -1): void {
    const { limits } = this.#options;
    for (let index = 0; index < limits.length; index += 1) {
      const amount = cost[(limits[index] as Limit).name];
      if (amount !== undefined) to[index] = (to[index] as number) + sign * amount;
    }
  }

  #isLow(): boolean {
    return this.#leased.some((leased, index) => leased < (this.#portion[index] as number) / 2);
  }

  waitMs(index: number, nowMs: number): number {
    if ((this.#leased[index] as number) > 0) return 0;
    return this.#seen.waitMs(index, nowMs);
  }

  left(index: number, nowMs: number): number {
    return this.#seen.left(index, nowMs) + (this.#leased[index] as number);
  }

  isFull(nowMs: number): boolean {
    return (
      this.#question === undefined &&
      nowMs - this.#askedAtMs > leaseMs &&
      this.#local.isFull(nowMs) &&
      this.#seen.isFull(nowMs)
    );
  }
}
