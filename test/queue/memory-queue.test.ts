import { describe, expect, test } from 'vitest';
import { createBudget } from '../../src/core/budget.ts';
import { createMemoryQueue } from '../../src/queue/queue.ts';
import { delivery } from './delivery.ts';
import { createFakeClock } from './fake-clock.ts';
import { queueContract, take } from './queue-contract.ts';

const mebibyte = 1024 * 1024;

function openMemory(bytesMax: number) {
  const clock = createFakeClock();
  const budget = createBudget(bytesMax, clock);
  return { clock, budget, queue: createMemoryQueue({ budget, clock }) };
}

queueContract('memory queue', async ({ bytesMax }) => {
  const { clock, queue } = openMemory(bytesMax);
  return { clock, queue, dispose: () => queue.close() };
});

describe('memory queue: the budget', () => {
  test('is used for as long as a delivery waits, and not a byte longer', async () => {
    const { budget, queue, clock } = openMemory(mebibyte);
    await queue.append([delivery({ body: [Buffer.alloc(1000)] }), delivery({ agentId: 'b' })]);
    expect(budget.usedBytes).toBeGreaterThan(1000);
    take(queue).ack();
    take(queue).retryLater({ done: 0, together: 1, afterMs: 10 });
    expect(budget.usedBytes).toBeGreaterThan(0);
    clock.advance(10);
    take(queue).ack();
    expect(budget.usedBytes).toBe(0);
  });

  test('bounds floods of empty bodies too', async () => {
    const { queue } = openMemory(mebibyte);
    const flood = Array.from({ length: 2000 }, () => delivery({ body: [] }));
    await expect(queue.append(flood)).rejects.toMatchObject({ kind: 'queue_full' });
  });
});

describe('memory queue: whose bytes it keeps', () => {
  test('a small share does not keep the big request that it came in', async () => {
    const { queue } = openMemory(4 * mebibyte);
    const request = Buffer.alloc(mebibyte, 'x');
    await queue.append([delivery({ body: [request.subarray(0, 10), request.subarray(20, 30)] })]);
    const [kept] = take(queue).deliveries;
    expect(kept?.bodyBytes).toBe(20);
    expect(Buffer.concat(kept?.body ?? []).toString()).toBe('x'.repeat(20));
    const memory = kept?.body.reduce((sum, piece) => sum + piece.buffer.byteLength, 0);
    expect(memory).toBe(20);
  });

  test('most of a request is kept without a copy', async () => {
    const { queue } = openMemory(4 * mebibyte);
    const request = Buffer.alloc(mebibyte);
    await queue.append([delivery({ body: [request.subarray(0, 600_000)] })]);
    expect(take(queue).deliveries[0]?.body[0]?.buffer).toBe(request.buffer);
  });
});

test('memory queue: an ended part of a lane cannot be ended again', async () => {
  const { queue } = openMemory(mebibyte);
  await queue.append([delivery()]);
  const taken = take(queue);
  taken.ack();
  expect(() => taken.ack()).toThrow('ends once');
});

test('memory queue: a take costs the same with ten thousand lanes as with ten', async () => {
  const costly = await measure(10_000);
  const cheap = await measure(10);
  // A scan over the lanes would make it a thousand times dearer; 20 leaves room for a busy machine.
  expect(costly).toBeLessThan(cheap * 20);
});

/** Milliseconds for a fixed number of turns: take, put back or ack, append. */
async function measure(lanes: number): Promise<number> {
  const { queue, clock } = openMemory(512 * mebibyte);
  for (let lane = 0; lane < lanes; lane += 1) {
    await queue.append([delivery({ agentId: `agent ${lane}` })]);
  }
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    const startedAt = performance.now();
    for (let turn = 0; turn < 5000; turn += 1) {
      const taken = take(queue);
      const agentId = taken.deliveries[0]?.agentId ?? '';
      taken.ack();
      await queue.append([delivery({ agentId })]);
    }
    best = Math.min(best, performance.now() - startedAt);
  }
  clock.advance(0);
  await queue.close();
  return best;
}
