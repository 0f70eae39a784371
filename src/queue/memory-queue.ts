/**
 * The queue in memory. It holds at most what the budget allows: each delivery counts its bytes
 * and a constant for its bookkeeping, and releases them when it is done with.
 */
import assert from 'node:assert/strict';
import type { Budget } from '../core/budget.ts';
import type { Clock } from '../core/clock.ts';
import type { Delivery } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';
import { Fifo } from './fifo.ts';
import { laneOf, mayJoin } from './lane.ts';
import { ownBytes } from './own-bytes.ts';
import type { Depth, Queue, RetryLater, Taken } from './queue.ts';

export type MemoryQueueOptions = { readonly budget: Budget; readonly clock: Clock };

/** What a delivery costs beside its body, so that floods of tiny ones are bounded too. */
export const overheadBytes = 1024;

export function createMemoryQueue(options: MemoryQueueOptions): Queue {
  return new MemoryQueue(options);
}

/** A lane is in the map while it holds deliveries, and in `ready` while it waits for its turn. */
type Lane = {
  readonly name: string;
  readonly waiting: Fifo<Delivery>;
  failures: number;
  /** How many are taken together next; 0: no matter. */
  together: number;
  /** Ends the rest before its time. */
  cancelRest: (() => void) | undefined;
};

class MemoryQueue implements Queue {
  readonly durable = false;
  readonly #budget: Budget;
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Lane>();
  readonly #ready = new Fifo<Lane>();
  #listener: () => void = () => {};
  #closed = false;
  #deliveries = 0;
  #items = 0;
  #bytes = 0;
  /** With what the bookkeeping costs. */
  #heldBytes = 0;

  constructor({ budget, clock }: MemoryQueueOptions) {
    this.#budget = budget;
    this.#clock = clock;
  }

  async append(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#closed) {
      throw new GatewayError('shutting_down', 'send it again: this gateway is shutting down');
    }
    const cost = deliveries.reduce((sum, each) => sum + costOf(each), 0);
    if (this.#heldBytes + cost > this.#budget.bytesMax) {
      throw new GatewayError(
        'queue_full',
        'send it again shortly: the ingestion service is slower than what arrives for it',
      );
    }
    this.#heldBytes += cost;
    this.#budget.takeOver(cost);
    for (const delivery of deliveries) this.#add(ownBytes(delivery));
  }

  onReady(listener: () => void): void {
    this.#listener = listener;
  }

  take(bytesMax: number): Taken | undefined {
    if (this.#closed) return undefined;
    const lane = this.#ready.shift();
    if (lane === undefined) return undefined;
    const deliveries = firstOf(lane, bytesMax);
    let held = true;
    const end = (done: number): void => {
      assert(held, 'a taken part of a lane ends once');
      held = false;
      for (let count = 0; count < done; count += 1) this.#forget(lane);
    };
    return {
      deliveries,
      failures: lane.failures,
      ack: () => {
        end(deliveries.length);
        lane.failures = 0;
        lane.together = 0;
        this.#makeReady(lane);
      },
      retryLater: (again) => {
        assert(again.done + again.together <= deliveries.length, 'more than was taken');
        end(again.done);
        this.#rest(lane, again);
      },
    };
  }

  wake(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.cancelRest === undefined) continue;
      lane.cancelRest();
      this.#makeReady(lane);
    }
  }

  depth(): Depth {
    return { deliveries: this.#deliveries, items: this.#items, bytes: this.#bytes };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const lane of this.#lanes.values()) lane.cancelRest?.();
  }

  #add(delivery: Delivery): void {
    this.#deliveries += 1;
    this.#items += delivery.items;
    this.#bytes += delivery.bodyBytes;
    const name = laneOf(delivery);
    const lane = this.#lanes.get(name);
    if (lane !== undefined) {
      lane.waiting.push(delivery);
      return;
    }
    const waiting = new Fifo<Delivery>();
    waiting.push(delivery);
    const added = { name, waiting, failures: 0, together: 0, cancelRest: undefined };
    this.#lanes.set(name, added);
    this.#makeReady(added);
  }

  #forget(lane: Lane): void {
    const delivery = lane.waiting.shift();
    assert(delivery !== undefined, 'what is acked was taken from its lane');
    this.#deliveries -= 1;
    this.#items -= delivery.items;
    this.#bytes -= delivery.bodyBytes;
    this.#heldBytes -= costOf(delivery);
    this.#budget.release(costOf(delivery));
  }

  #makeReady(lane: Lane): void {
    lane.cancelRest = undefined;
    if (lane.waiting.length === 0) {
      this.#lanes.delete(lane.name);
      return;
    }
    this.#ready.push(lane);
    this.#listener();
  }

  #rest(lane: Lane, { together, afterMs }: RetryLater): void {
    lane.failures += 1;
    lane.together = together;
    if (this.#closed) return;
    // Also while it is empty: what arrives meanwhile must not wake a lane that has to rest.
    lane.cancelRest = this.#clock.after(afterMs, () => this.#makeReady(lane));
  }
}

function firstOf(lane: Lane, bytesMax: number): readonly Delivery[] {
  const first = lane.waiting.at(0);
  assert(first !== undefined, 'a ready lane is not empty');
  const taken = [first];
  let bytes = first.bodyBytes;
  for (;;) {
    const next = lane.waiting.at(taken.length);
    if (next === undefined || taken.length === lane.together) return taken;
    bytes += next.bodyBytes;
    if (lane.together === 0 && (bytes > bytesMax || !mayJoin(first, next))) return taken;
    taken.push(next);
  }
}

function costOf(delivery: Delivery): number {
  return delivery.bodyBytes + overheadBytes;
}
