/**
 * Random calls on a queue, compared with a model of it: one array per lane. The model does not know
 * whose turn it is, so it checks what is taken and derives from that what must be there next.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Taken } from '../../src/queue/queue.ts';
import { delivery } from './delivery.ts';
import type { OpenedQueue } from './queue-contract.ts';

type Call =
  | { readonly kind: 'append'; readonly lanes: readonly number[] }
  | { readonly kind: 'take'; readonly bytesMax: number }
  | { readonly kind: 'ack'; readonly which: number }
  | { readonly kind: 'retry'; readonly which: number; readonly done: number; readonly ms: number }
  | { readonly kind: 'wake' }
  | { readonly kind: 'advance'; readonly ms: number };

const laneCount = 4;

const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      lanes: fc.array(fc.nat(laneCount - 1), { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('take' as const), bytesMax: fc.nat(60) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('ack' as const), which: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('retry' as const),
      which: fc.nat(),
      done: fc.nat(3),
      ms: fc.nat(50),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wake' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(60) }) },
);

type Lane = {
  waiting: string[];
  taken: number;
  together: number;
  failures: number;
  restMs: number;
};

class Model {
  readonly lanes: Lane[] = Array.from({ length: laneCount }, () => ({
    waiting: [],
    taken: 0,
    together: 0,
    failures: 0,
    restMs: 0,
  }));

  /** What `take` may give: undefined for none. The one of the lane that the queue chose. */
  taken(lane: Lane, bytesMax: number): string[] {
    if (lane.together > 0) return lane.waiting.slice(0, lane.together);
    let bytes = 0;
    const fitting = lane.waiting.findIndex((name) => {
      bytes += name.length;
      return bytes > bytesMax;
    });
    return lane.waiting.slice(0, fitting < 0 ? undefined : Math.max(1, fitting));
  }

  /** A lane that is empty after its rest is forgotten, and its failures with it. */
  advance(ms: number): void {
    for (const lane of this.lanes.filter((each) => each.restMs > 0)) {
      lane.restMs = Math.max(0, lane.restMs - ms);
      if (lane.restMs === 0 && lane.waiting.length === 0) lane.failures = 0;
    }
  }

  isReady(lane: Lane): boolean {
    return lane.waiting.length > 0 && lane.taken === 0 && lane.restMs === 0;
  }
}

type Held = { readonly taken: Taken; readonly lane: Lane };

class Run {
  readonly model = new Model();
  readonly held: Held[] = [];
  readonly opened: OpenedQueue;
  #count = 0;

  constructor(opened: OpenedQueue) {
    this.opened = opened;
  }

  async do(next: Call): Promise<void> {
    const { clock } = this.opened;
    if (next.kind === 'append') await this.#append(next.lanes);
    else if (next.kind === 'take') this.#take(next.bytesMax);
    else if (next.kind === 'ack') this.#ack(next.which);
    else if (next.kind === 'retry') this.#retry(next);
    else if (next.kind === 'wake') {
      this.opened.queue.wake();
      this.model.advance(Number.POSITIVE_INFINITY);
    } else {
      clock.advance(next.ms);
      this.model.advance(next.ms);
    }
    const deliveries = this.model.lanes.reduce((sum, lane) => sum + lane.waiting.length, 0);
    expect(this.opened.queue.depth()).toMatchObject({ deliveries, items: deliveries });
  }

  async #append(lanes: readonly number[]): Promise<void> {
    const added = lanes.map((index) => {
      this.#count += 1;
      const name = `delivery ${this.#count}`;
      this.model.lanes[index]?.waiting.push(name);
      return delivery({ agentId: String(index), idempotencyKey: name, text: name });
    });
    await this.opened.queue.append(added);
  }

  #take(bytesMax: number): void {
    const ready = this.model.lanes.filter((lane) => this.model.isReady(lane));
    const taken = this.opened.queue.take(bytesMax);
    if (taken === undefined) {
      expect(ready).toEqual([]);
      return;
    }
    const lane = this.model.lanes[Number(taken.deliveries[0]?.agentId)] as Lane;
    expect(ready).toContain(lane);
    const names = taken.deliveries.map((each) => each.idempotencyKey);
    expect(names).toEqual(this.model.taken(lane, bytesMax));
    expect(taken.failures).toBe(lane.failures);
    lane.taken = names.length;
    this.held.push({ taken, lane });
  }

  #release(which: number): Held | undefined {
    return this.held.splice(which % Math.max(1, this.held.length), 1)[0];
  }

  #ack(which: number): void {
    const held = this.#release(which);
    if (held === undefined) return;
    held.taken.ack();
    held.lane.waiting.splice(0, held.lane.taken);
    Object.assign(held.lane, { taken: 0, together: 0, failures: 0 });
  }

  #retry(again: { which: number; done: number; ms: number }): void {
    const held = this.#release(again.which);
    if (held === undefined) return;
    const done = Math.min(again.done, held.lane.taken);
    const together = held.lane.taken - done;
    // A rest of no time is over at once only for a clock that moves.
    const afterMs = again.ms + 1;
    held.taken.retryLater({ done, together, afterMs });
    held.lane.waiting.splice(0, done);
    Object.assign(held.lane, {
      taken: 0,
      together,
      failures: held.lane.failures + 1,
      restMs: afterMs,
    });
  }
}

export function checkAgainstModel(open: () => Promise<OpenedQueue>) {
  return fc.asyncProperty(fc.array(call, { minLength: 150, maxLength: 300 }), async (calls) => {
    const run = new Run(await open());
    for (const next of calls) await run.do(next);
  });
}
