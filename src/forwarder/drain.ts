/**
 * Queue → downstream: takes as long as a slot is free and a lane is ready. Woken by the queue and
 * by slots that become free; never polls. At the end nothing rests for long: a pause that would
 * outlast this process would lose what waits for it.
 */
import type { Queue } from '../queue/queue.ts';
import { createBreaker } from './breaker.ts';
import { type SendOptions, sendTaken } from './send-taken.ts';
import type { Slots } from './slots.ts';

export type Drain = {
  /** Ends all rests, and keeps those that begin later short. */
  hurry(): void;
  /** Hurries, until the queue is empty or `graceMs` have passed, and takes nothing afterwards. */
  finish(graceMs: number): Promise<void>;
  /** Once what was under way has ended: counts what an undurable queue still holds as dropped. */
  dropRest(): Promise<void>;
};

export type DrainOptions = Omit<SendOptions, 'restMsMax'> & {
  readonly queue: Queue;
  readonly slots: Slots;
  readonly batchBytesMax: number;
};

/** Between two tries while the process waits to end. */
const lastRestMsMax = 1_000;

export function createDrain(options: DrainOptions): Drain {
  const { queue, slots, clock, observability } = options;
  let taking = true;
  let hurrying = false;
  let underWay = 0;
  let onEnd: () => void = () => {};
  const restMsMax = (): number => (hurrying ? lastRestMsMax : Number.POSITIVE_INFINITY);
  const sending = { ...options, restMsMax };
  const breaker = createBreaker(sending, clock, pump);

  function pump(): void {
    while (taking && slots.free > 0 && breaker.admits()) {
      const taken = queue.take(options.batchBytesMax);
      if (taken === undefined) return;
      slots.take();
      underWay += 1;
      breaker.began();
      void sendTaken(sending, taken).then(({ reached }) => {
        underWay -= 1;
        breaker.ended(reached);
        slots.give();
        onEnd();
      });
    }
  }

  /** Resolves once `isTrue`, which only the end of a request can change. */
  function until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      onEnd = () => {
        if (isTrue()) resolve();
      };
      onEnd();
    });
  }

  function hurry(): void {
    hurrying = true;
    breaker.endRest();
    queue.wake();
    pump();
  }

  queue.onReady(pump);
  slots.onFree(pump);
  pump();
  return {
    hurry,
    async finish(graceMs) {
      hurry();
      const empty = until(() => underWay === 0 && queue.depth().deliveries === 0);
      let cancel = (): void => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(graceMs, resolve);
      });
      await Promise.race([empty, late]);
      cancel();
      taking = false;
      breaker.endRest();
    },
    async dropRest() {
      await until(() => underWay === 0);
      const { deliveries, items } = queue.depth();
      if (queue.durable || deliveries === 0) return;
      observability.metrics.items('dropped', items, 'shutdown_timeout');
      observability.log.error(
        { deliveries, items, reason: 'shutdown_timeout' },
        'the downstream did not take everything in time: the rest is lost with this process',
      );
    },
  };
}
