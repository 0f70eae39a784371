/** Sync mode: one attempt, and the client is told what came of it. */
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { DeliveryOutcome } from '../../src/core/delivery.ts';
import { delivery } from '../queue/delivery.ts';
import {
  type Downstream,
  type Respond,
  respondOk,
  respondWith,
  startDownstream,
} from './downstream.ts';
import { type OpenForwarder, type OpenOptions, openForwarder, until } from './open-forwarder.ts';

let downstream: Downstream;
let opened: OpenForwarder;

async function open(respond: Respond, options: Partial<OpenOptions> = {}) {
  downstream = await startDownstream(respond);
  opened = openForwarder({ endpoint: downstream.endpoint, ...options });
}

afterEach(async () => {
  await opened.close();
  await downstream.stop();
});

const deadlineMs = 9000;

async function deliverOne(): Promise<DeliveryOutcome> {
  const [outcome] = await opened.forwarder.deliverNow([delivery({ items: 3 })], deadlineMs);
  if (outcome === undefined) throw new Error('no outcome');
  return outcome;
}

describe('sync mode', () => {
  test('2xx is accepted and counted as delivered', async () => {
    await open(respondWith(202));
    expect(await deliverOne()).toEqual({ kind: 'accepted', rejectedItems: 0, message: '' });
    expect(await opened.counts()).toEqual({ delivered: 3, dropped: {} });
  });

  test('a partial success of the downstream reaches the client', async () => {
    const answer = '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}';
    await open(respondWith(200, answer, { 'content-type': 'application/json; charset=utf-8' }));
    expect(await deliverOne()).toEqual({ kind: 'accepted', rejectedItems: 1, message: 'too old' });
    expect(await opened.counts()).toEqual({ delivered: 2, dropped: {} });
  });

  test('a partial success is bounded: its text, on one line, and its count', async () => {
    const errorMessage = `too\nold: ${'é'.repeat(290)}😀${'x'.repeat(4000)}`;
    const answer = JSON.stringify({ partialSuccess: { rejectedSpans: '900', errorMessage } });
    await open(respondWith(200, answer, { 'content-type': 'application/json' }));
    const outcome = await deliverOne();
    expect(outcome).toMatchObject({ kind: 'accepted', rejectedItems: 3 });
    const message = outcome.kind === 'accepted' ? outcome.message : '';
    expect(message).toMatch(/^too old: é{290}/);
    expect(message.length).toBe(300);
    expect(message.isWellFormed()).toBe(true);
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: {} });
  });

  test('a permanent refusal comes back with its text and is not counted as dropped', async () => {
    await open(respondWith(422, 'span has no name'));
    expect(await deliverOne()).toEqual({ kind: 'refused', status: 422, text: 'span has no name' });
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: {} });
  });

  test('what may work later is retryable, with a wait of at most three seconds', async () => {
    await open(respondWith(429, '', { 'retry-after': '120' }));
    expect(await deliverOne()).toMatchObject({
      kind: 'retryable',
      error: { kind: 'downstream_unavailable', retryAfterMs: 3000 },
    });
    downstream.respond = respondWith(503, '', { 'retry-after': '1' });
    expect(await deliverOne()).toMatchObject({ error: { retryAfterMs: 1000 } });
    expect(downstream.received.length).toBe(2);
  });

  test('a downstream that is away is retryable, and the reason is said', async () => {
    await open(respondOk);
    await downstream.stop();
    const outcome = await deliverOne();
    expect(outcome).toMatchObject({ kind: 'retryable' });
    expect(outcome.kind === 'retryable' && outcome.error.hint).toContain('ECONNREFUSED');
  });

  test.each([
    [9000, 8750],
    [1000, 900],
  ])('no answer: with %i ms left it is retryable after %i ms', async (leftMs, answeredMs) => {
    await open(() => {});
    let answered = false;
    const outcomes = opened.forwarder.deliverNow([delivery()], leftMs).finally(() => {
      answered = true;
    });
    await until(() => downstream.received.length === 1);
    opened.clock.advance(answeredMs - 1);
    await setImmediate();
    expect(answered).toBe(false);
    opened.clock.advance(1);
    await setImmediate();
    expect(answered).toBe(true);
    const [outcome] = await outcomes;
    expect(outcome?.kind === 'retryable' && outcome.error.hint).toContain('(timeout)');
    await until(() => downstream.open.now === 0);
  });

  test('several deliveries go in parallel, with one outcome each, in order', async () => {
    await open((response, { names }) => {
      if (names[0] === 'slow') void setImmediate().then(() => response.writeHead(200).end());
      else response.writeHead(names[0] === 'bad' ? 400 : 200).end();
    });
    const outcomes = await opened.forwarder.deliverNow(
      ['slow;', 'bad;', 'good;'].map((text) => delivery({ text })),
      deadlineMs,
    );
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['accepted', 'refused', 'accepted']);
  });

  test('no deliveries have no outcomes', async () => {
    await open(respondOk);
    expect(await opened.forwarder.deliverNow([], deadlineMs)).toEqual([]);
  });

  test('what finds no free connection by its deadline is retryable and is never sent', async () => {
    await open(() => {}, { downstream: { connections: 2 } });
    const outcomes = opened.forwarder.deliverNow(
      [delivery(), delivery(), delivery(), delivery()],
      deadlineMs,
    );
    await until(() => downstream.received.length === 2);
    opened.clock.advance(deadlineMs - 250);
    expect((await outcomes).map((outcome) => outcome.kind)).toEqual(Array(4).fill('retryable'));
    await until(() => downstream.open.now === 0);
    expect(downstream.received.length).toBe(2);
    downstream.respond = respondOk;
    const [next] = await opened.forwarder.deliverNow([delivery()], 2 * deadlineMs);
    expect(next?.kind).toBe('accepted');
  });
});
