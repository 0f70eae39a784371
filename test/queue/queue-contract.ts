/** What every kind of queue promises; each implementation runs this suite. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/core/delivery.ts';
import type { Queue, Taken } from '../../src/queue/queue.ts';
import { delivery, textOf } from './delivery.ts';
import type { FakeClock } from './fake-clock.ts';
import { checkAgainstModel } from './queue-model.ts';

export type OpenedQueue = {
  readonly queue: Queue;
  readonly clock: FakeClock;
  /** Closes it and removes what it kept. */
  dispose(): Promise<void>;
};

/** `bytesMax`: how many bytes of bodies fit in at least; tests append twice that to fill it. */
export type OpenQueue = (limits: { readonly bytesMax: number }) => Promise<OpenedQueue>;

const mebibyte = 1024 * 1024;

export function queueContract(name: string, open: OpenQueue): void {
  const opened: OpenedQueue[] = [];
  async function openOne(bytesMax = 64 * mebibyte): Promise<OpenedQueue> {
    const one = await open({ bytesMax });
    opened.push(one);
    return one;
  }
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.dispose();
  });

  describe(`${name}: append`, () => {
    test('what was appended is taken with all its fields', async () => {
      const { queue } = await openOne();
      const given = delivery({
        body: [Buffer.from('one '), Buffer.from('two')],
        forwardKey: 'mibo_forwarded',
        requestId: 'trace-1',
        items: 7,
      });
      await queue.append([given]);
      const [taken] = take(queue).deliveries;
      expect(textOf(taken as Delivery)).toBe('one two');
      expect({ ...taken, body: [] }).toEqual({ ...given, body: [] });
    });

    test('a full queue takes none of a request and says so with queue_full', async () => {
      const { queue } = await openOne(mebibyte);
      const half = Buffer.alloc(mebibyte);
      await expect(
        queue.append([delivery({ agentId: 'a', text: 'small' }), delivery({ body: [half, half] })]),
      ).rejects.toMatchObject({ kind: 'queue_full' });
      expect(queue.depth()).toEqual({ deliveries: 0, items: 0, bytes: 0 });
      expect(queue.take(mebibyte)).toBeUndefined();
    });

    test('there is room again once deliveries are acked', async () => {
      const { queue } = await openOne(mebibyte);
      const body = [Buffer.alloc(mebibyte / 8)];
      for (let round = 0; round < 100; round += 1) {
        await queue.append([delivery({ body })]);
        take(queue).ack();
      }
      expect(queue.depth().deliveries).toBe(0);
    });

    test('after close nothing is appended or taken', async () => {
      const { queue } = await openOne();
      await queue.append([delivery()]);
      await queue.close();
      await expect(queue.append([delivery()])).rejects.toMatchObject({ kind: 'shutting_down' });
      expect(queue.take(mebibyte)).toBeUndefined();
    });
  });

  describe(`${name}: lanes`, () => {
    test('deliveries of one lane come in order, and what waits comes together', async () => {
      const { queue } = await openOne();
      for (const text of ['a', 'b', 'c']) await queue.append([delivery({ text })]);
      expect(texts(take(queue))).toEqual(['a', 'b', 'c']);
    });

    test('a lane is taken once at a time', async () => {
      const { queue } = await openOne();
      await queue.append([delivery({ text: 'a' })]);
      const taken = take(queue);
      await queue.append([delivery({ text: 'b' })]);
      expect(queue.take(mebibyte)).toBeUndefined();
      taken.ack();
      expect(texts(take(queue))).toEqual(['b']);
    });

    test('lanes take turns, however much waits in one of them', async () => {
      const { queue } = await openOne();
      for (const text of ['a1', 'a2', 'a3']) {
        await queue.append([delivery({ agentId: 'a', text, compression: 'deflate' })]);
      }
      await queue.append([delivery({ agentId: 'b', text: 'b1' })]);
      const order: string[] = [];
      for (let turn = 0; turn < 4; turn += 1) {
        const taken = take(queue);
        order.push(...texts(taken));
        taken.ack();
      }
      expect(order).toEqual(['a1', 'b1', 'a2', 'a3']);
    });

    test.each([
      ['agent', { agentId: 'a' }, { agentId: 'b' }],
      ['key', { keyId: 'a' }, { keyId: 'b' }],
      ['project', { projectId: 'a' }, { projectId: 'b' }],
      ['forwarded key', { forwardKey: 'a' }, { forwardKey: 'b' }],
      ['client request id', { requestId: 'a' }, { requestId: 'b' }],
      ['client request id or none', {}, { requestId: 'b' }],
      ['encoding', { encoding: 'proto' }, { encoding: 'json' }],
      ['signal', { signal: 'traces' }, { signal: 'traces_api', encoding: 'json' }],
    ] as const)('another %s is another lane', async (_what, one, other) => {
      const { queue } = await openOne();
      await queue.append([delivery({ ...one, text: '1' }), delivery({ ...other, text: '2' })]);
      expect(texts(take(queue))).toEqual(['1']);
      expect(texts(take(queue))).toEqual(['2']);
    });
  });

  describe(`${name}: joining`, () => {
    test('no more is joined than fits, but one always comes', async () => {
      const { queue } = await openOne();
      for (const text of ['aaaa', 'bbbb', 'cccc']) await queue.append([delivery({ text })]);
      const taken = queue.take(9);
      expect(taken && texts(taken)).toEqual(['aaaa', 'bbbb']);
      taken?.ack();
      const last = queue.take(1);
      expect(last && texts(last)).toEqual(['cccc']);
    });

    test('different compressions are not joined', async () => {
      const { queue } = await openOne();
      for (const compression of ['gzip', 'gzip', 'zstd', 'identity'] as const) {
        await queue.append([delivery({ compression, text: compression })]);
      }
      const joined = await takeAll(queue);
      expect(joined).toEqual([['gzip', 'gzip'], ['zstd'], ['identity']]);
    });

    test.each([
      ['zlib streams', { compression: 'deflate' }],
      ['JSON', { encoding: 'json' }],
      ['flat bodies of Your API', { signal: 'traces_api', encoding: 'json' }],
      ['what carries a client request id', { requestId: 'trace-1' }],
    ] as const)('never joined, yet in order: %s', async (_what, fields) => {
      const { queue } = await openOne();
      for (const text of ['1', '2']) await queue.append([delivery({ ...fields, text })]);
      expect(await takeAll(queue)).toEqual([['1'], ['2']]);
    });
  });

  describe(`${name}: retry later`, () => {
    test('a lane that rests is not taken before its time, and then is first', async () => {
      const { queue, clock } = await openOne();
      await queue.append([delivery({ text: 'a' })]);
      take(queue).retryLater({ done: 0, together: 1, afterMs: 1000 });
      await queue.append([delivery({ text: 'b' })]);
      clock.advance(999);
      expect(queue.take(mebibyte)).toBeUndefined();
      clock.advance(1);
      const again = take(queue);
      expect(texts(again)).toEqual(['a']);
      expect(again.failures).toBe(1);
      again.ack();
      const next = take(queue);
      expect(texts(next)).toEqual(['b']);
      expect(next.failures).toBe(0);
    });

    test('a lane that rests does not hold up the others', async () => {
      const { queue } = await openOne();
      await queue.append([delivery({ agentId: 'sick' })]);
      take(queue).retryLater({ done: 0, together: 1, afterMs: 60_000 });
      await queue.append([delivery({ agentId: 'well', text: 'w' })]);
      expect(texts(take(queue))).toEqual(['w']);
    });

    test('the same ones come together again, whatever arrived meanwhile', async () => {
      const { queue, clock } = await openOne();
      for (const text of ['a', 'b']) await queue.append([delivery({ text })]);
      take(queue).retryLater({ done: 0, together: 2, afterMs: 10 });
      await queue.append([delivery({ text: 'c' })]);
      clock.advance(10);
      expect(texts(take(queue))).toEqual(['a', 'b']);
    });

    test('what is done with is forgotten, and the rest comes again', async () => {
      const { queue, clock } = await openOne();
      for (const text of ['a', 'b', 'c', 'd']) await queue.append([delivery({ text, items: 5 })]);
      take(queue).retryLater({ done: 1, together: 2, afterMs: 10 });
      expect(queue.depth()).toMatchObject({ deliveries: 3, items: 15 });
      clock.advance(10);
      const again = take(queue);
      expect(texts(again)).toEqual(['b', 'c']);
      again.ack();
      expect(texts(take(queue))).toEqual(['d']);
    });

    test('a lane rests even if nothing of it is left', async () => {
      const { queue, clock } = await openOne();
      await queue.append([delivery()]);
      take(queue).retryLater({ done: 1, together: 0, afterMs: 10 });
      await queue.append([delivery({ text: 'next' })]);
      expect(queue.take(mebibyte)).toBeUndefined();
      clock.advance(10);
      expect(texts(take(queue))).toEqual(['next']);
    });

    test('wake ends every rest, once; each lane begins where it was', async () => {
      const { queue, clock } = await openOne();
      let calls = 0;
      for (const agentId of ['a', 'b']) {
        await queue.append([delivery({ agentId, text: agentId })]);
        take(queue).retryLater({ done: 0, together: 1, afterMs: 30_000 });
      }
      await queue.append([delivery({ agentId: 'a', text: 'later' })]);
      queue.onReady(() => {
        calls += 1;
      });
      queue.wake();
      queue.wake();
      expect(calls).toBe(2);
      const both = [take(queue), take(queue)];
      expect(both.map(texts)).toEqual([['a'], ['b']]);
      expect(both.map(({ failures }) => failures)).toEqual([1, 1]);
      clock.advance(30_000);
      expect(queue.take(mebibyte)).toBeUndefined();
    });

    test('the listener hears of every lane that becomes ready', async () => {
      const { queue, clock } = await openOne();
      let calls = 0;
      queue.onReady(() => {
        calls += 1;
      });
      await queue.append([delivery()]);
      expect(calls).toBe(1);
      take(queue).retryLater({ done: 0, together: 1, afterMs: 10 });
      expect(calls).toBe(1);
      clock.advance(10);
      expect(calls).toBe(2);
    });
  });

  test(`${name}: depth counts what is not acked, taken or not`, async () => {
    const { queue } = await openOne();
    await queue.append([delivery({ agentId: 'a', text: 'xx', items: 3 })]);
    await queue.append([delivery({ agentId: 'b', text: 'yyy', items: 4 })]);
    const taken = take(queue);
    expect(queue.depth()).toEqual({ deliveries: 2, items: 7, bytes: 5 });
    taken.ack();
    expect(queue.depth()).toEqual({ deliveries: 1, items: 4, bytes: 3 });
  });

  test(`${name}: does what the model does, whatever the order of calls`, async () => {
    await fc.assert(
      checkAgainstModel(() => openOne()),
      { numRuns: 500 },
    );
  });
}

export function take(queue: Queue): Taken {
  const taken = queue.take(mebibyte);
  if (taken === undefined) throw new Error('no lane is ready');
  return taken;
}

function texts(taken: Taken): string[] {
  return taken.deliveries.map(textOf);
}

async function takeAll(queue: Queue): Promise<string[][]> {
  const all: string[][] = [];
  for (let taken = queue.take(mebibyte); taken; taken = queue.take(mebibyte)) {
    all.push(texts(taken));
    taken.ack();
  }
  return all;
}
