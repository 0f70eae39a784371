/** What happens when the downstream does not take a delivery: nothing is lost that need not be. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
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
  opened = openForwarder({ endpoint: downstream.endpoint, random: () => 0.5, ...options });
  opened.forwarder.run(opened.queue);
}

afterEach(async () => {
  await opened.closeBalanced();
  await downstream.stop();
});

/** Resolves once a lane rests, with how long it does. */
async function rests(): Promise<number> {
  await until(() => (opened.clock.nextInMs ?? Number.POSITIVE_INFINITY) < 3_600_000);
  return opened.clock.nextInMs ?? 0;
}

/** Lets the lane's rest pass and waits until the next request has come. */
async function nextAttempt(): Promise<void> {
  const seen = downstream.received.length;
  opened.clock.advance(await rests());
  await until(() => downstream.received.length > seen);
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `s${index}`);
}

/** Appends one delivery per name, over so many agents. */
async function appendAll(all: readonly string[], agents: number): Promise<void> {
  for (const [index, name] of all.entries()) {
    await opened.append(delivery({ agentId: `agent-${index % agents}`, text: `${name};` }));
  }
}

describe('backoff', () => {
  test('grows from attempt to attempt up to its bound, and begins anew on success', async () => {
    await open(respondWith(503), { retry: { maxIntervalMs: 4000, multiplier: 2 } });
    await opened.append(delivery());
    const waits: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      waits.push(await rests());
      if (attempt === 4) downstream.respond = respondOk;
      await nextAttempt();
    }
    expect(waits).toEqual([1000, 2000, 4000, 4000, 4000]);
    await opened.emptied();
    downstream.respond = respondWith(503);
    await opened.append(delivery());
    expect(await rests()).toBe(1000);
  });

  test('every attempt with the same bytes carries the same idempotency key', async () => {
    await open(respondWith(503));
    await opened.append(delivery({ text: 'a;' }));
    await rests();
    await opened.append(delivery({ text: 'b;' }), delivery({ text: 'c;' }));
    await nextAttempt();
    expect(downstream.received[1]?.names).toEqual(['a']);
    downstream.respond = (response, { names }) => {
      if (names[0] === 'a') response.writeHead(200).end();
      else response.writeHead(503).end();
    };
    await nextAttempt();
    await until(() => downstream.received.length === 4);
    await opened.append(delivery({ text: 'd;' }));
    await nextAttempt();
    const sent = downstream.received.map(({ names, headers }) => ({
      names: names.join(''),
      key: headers['idempotency-key'],
    }));
    expect(sent.map((each) => each.names)).toEqual(['a', 'a', 'a', 'bc', 'bc']);
    expect(new Set(sent.map((each) => each.key)).size).toBe(2);
    downstream.respond = respondOk;
    await opened.emptied();
    expect(downstream.received.at(-1)?.names).toEqual(['d']);
  });

  test('an agent whose requests fail rests alone', async () => {
    await open((response, { headers }) => {
      response.writeHead(headers['x-mibo-platform-id'] === 'sick' ? 503 : 200).end();
    });
    await opened.append(delivery({ agentId: 'sick' }));
    await rests();
    await appendAll(names(100), 3);
    await until(() => downstream.accepted.length === 100);
    await until(() => opened.queue.depth().deliveries === 1);
    expect(await opened.counts()).toEqual({ delivered: 100, dropped: {} });
  });

  test.each([
    ['seconds', '7', 7000],
    ['a date', new Date(Date.UTC(2026, 0, 1, 0, 0, 20)).toUTCString(), 20_000],
    ['less than the backoff', '0', 1000],
    ['more than five minutes', '86400', 300_000],
    ['nonsense', 'soon', 1000],
  ])('Retry-After is honoured: %s', async (_what, retryAfter, waitMs) => {
    await open(respondWith(429, '', { 'retry-after': retryAfter }));
    await opened.append(delivery());
    expect(await rests()).toBe(waitMs);
  });

  test('after max_elapsed_time since its arrival a delivery is dropped and counted', async () => {
    await open(respondWith(503), { retry: { maxElapsedTimeMs: 5000 } });
    await opened.append(delivery({ items: 3 }));
    await opened.emptied();
    expect(downstream.received.length).toBe(4);
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: { retries_exhausted: 3 } });
  });

  test('of a joined request only what is too old is dropped', async () => {
    await open(respondWith(503), { retry: { maxElapsedTimeMs: 5000 } });
    const arrivedAtMs = opened.clock.wallMs();
    await opened.append(delivery({ agentId: 'other', arrivedAtMs: arrivedAtMs + 3_600_000 }));
    opened.clock.advance(0);
    await opened.append(
      delivery({ text: 'old;', arrivedAtMs: arrivedAtMs - 4500 }),
      delivery({ text: 'young;', arrivedAtMs }),
    );
    await until(() => downstream.received.length >= 2);
    await until(() => opened.queue.depth().deliveries < 3);
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: { retries_exhausted: 1 } });
    downstream.respond = respondOk;
    await opened.emptied();
    expect(downstream.accepted).toContain('young');
    expect(downstream.accepted).not.toContain('old');
  });
});

describe('a downstream that fails', () => {
  test('70 % of the time: everything arrives', async () => {
    let state = 7;
    await open((response) => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      response.writeHead(state / 2 ** 31 < 0.7 ? 503 : 200).end();
    });
    const all = names(300);
    await appendAll(all, 10);
    await opened.emptied();
    expect([...downstream.accepted].sort()).toEqual([...all].sort());
    expect(await opened.counts()).toEqual({ delivered: 300, dropped: {} });
  });

  test('by stalling: the attempt ends with the timeout and is made again', async () => {
    await open(() => {}, { downstream: { timeoutMs: 5000 } });
    await opened.append(delivery());
    await until(() => downstream.received.length === 1);
    opened.clock.advance(4999);
    expect(downstream.open.now).toBe(1);
    opened.clock.advance(1);
    await until(() => downstream.open.now === 0);
    downstream.respond = respondOk;
    await nextAttempt();
    await until(() => opened.queue.depth().deliveries === 0);
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  });

  test('by stalling in the middle of its answer: the same', async () => {
    await open((response) => void response.writeHead(200, { 'content-length': 10 }).write('half'), {
      downstream: { timeoutMs: 5000 },
    });
    await opened.append(delivery());
    await until(() => downstream.received.length === 1);
    opened.clock.advance(5000);
    downstream.respond = respondOk;
    await nextAttempt();
    await until(() => opened.queue.depth().deliveries === 0);
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  });

  test('by resetting connections, before and within its answers: everything arrives', async () => {
    let count = 0;
    await open((response) => {
      count += 1;
      if (count % 3 === 0) response.socket?.resetAndDestroy();
      else if (count % 3 === 1) {
        response.writeHead(200, { 'content-length': 10 }).write('half');
        response.socket?.destroySoon();
      } else response.writeHead(200).end();
    });
    await appendAll(names(60), 10);
    await opened.emptied();
    expect(new Set(downstream.accepted).size).toBe(60);
    expect(await opened.counts()).toEqual({ delivered: 60, dropped: {} });
  });

  test('by being away: everything arrives once it is back', async () => {
    await open(respondOk);
    await downstream.stop();
    await appendAll(names(20), 4);
    await rests();
    const back = await startDownstream(respondOk, downstream.port);
    await opened.emptied();
    expect(new Set(back.accepted).size).toBe(20);
    expect(await opened.counts()).toEqual({ delivered: 20, dropped: {} });
    await back.stop();
  });

  test('by being away for a minute: a request now and then tries, not one per agent', async () => {
    await open(respondOk);
    await downstream.stop();
    await appendAll(names(101), 101);
    while (opened.clock.monotonicMs() < 60_000) {
      const tried = await opened.unanswered();
      opened.clock.advance(await rests());
      await until(() => opened.clock.pending > 0);
      if (tried > 50) break;
    }
    expect(await opened.unanswered()).toBeLessThan(50);
    const held: ServerResponse[] = [];
    const back = await startDownstream((response) => {
      held.push(response);
      // The first one tries alone; from then on several are under way again.
      if (back.received.length > 1 && held.length < 2) return;
      for (const each of held.splice(0)) each.writeHead(200).end();
    }, downstream.port);
    await opened.emptied();
    expect(new Set(back.accepted).size).toBe(101);
    await back.stop();
  });

  test('by closing idle connections: nobody notices', async () => {
    await open((response) => response.writeHead(200, { connection: 'close' }).end());
    await appendAll(names(30), 3);
    await opened.emptied();
    expect(await opened.counts()).toEqual({ delivered: 30, dropped: {} });
  });
});

describe('a downstream that refuses', () => {
  const refusesPoison: Respond = (response, received) => {
    const poisoned = received.names.includes('s777');
    response.writeHead(poisoned ? 400 : 200).end(poisoned ? 'span s777 is broken' : '');
  };

  test.each([400, 413, 422])('%i for one of a thousand: the others arrive', async (status) => {
    await open((response, received) => {
      const poisoned = received.names.includes('s777');
      response.writeHead(poisoned ? status : 200).end();
    });
    const all = names(1000);
    await appendAll(all, 1);
    await opened.emptied();
    expect(downstream.accepted.length).toBe(999);
    expect(downstream.accepted).not.toContain('s777');
    expect(downstream.received.length).toBeLessThan(30);
    expect(await opened.counts()).toEqual({ delivered: 999, dropped: { refused_downstream: 1 } });
  });

  test('and fails while the culprit is looked for: the others arrive all the same', async () => {
    let count = 0;
    await open((response, received) => {
      count += 1;
      if (count % 2 === 0) response.writeHead(503).end();
      else refusesPoison(response, received);
    });
    await appendAll(names(1000), 1);
    await opened.emptied();
    expect([...downstream.accepted].sort()).toEqual(
      names(1000)
        .filter((name) => name !== 's777')
        .sort(),
    );
    expect(await opened.counts()).toEqual({ delivered: 999, dropped: { refused_downstream: 1 } });
  });

  test('says why in the log, with the agent and without its whole answer', async () => {
    await open(respondWith(400, `broken\n${'x'.repeat(100_000)}`));
    await opened.append(delivery({ agentId: 'agent-a' }));
    await opened.emptied();
    const [line = ''] = opened.logLines;
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      reason: 'refused_downstream',
      agent_id: 'agent-a',
      status: 400,
      answer: expect.stringMatching(/^broken x+$/),
    });
    expect(line.length).toBeLessThan(1000);
  });

  test('a big body before it has read it: the answer is heard all the same', async () => {
    await open(respondOk);
    downstream.refuseUnread = 413;
    const piece = Buffer.alloc(8_000_000);
    await opened.append(delivery({ body: [piece, piece] }), delivery({ agentId: 'small' }));
    await opened.emptied();
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: { refused_downstream: 1 } });
  });

  test.each([301, 302, 401, 403, 404, 500, 501])('%i is final', async (status) => {
    await open(respondWith(status, 'no', { location: '/elsewhere' }));
    await opened.append(delivery({ items: 2 }));
    await opened.emptied();
    expect(downstream.received.length).toBe(1);
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: { refused_downstream: 2 } });
  });

  test.each([429, 502, 503, 504])('%i is retried', async (status) => {
    await open(respondWith(status));
    await opened.append(delivery());
    await rests();
    downstream.respond = respondOk;
    await opened.emptied();
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  });

  test('a part of it: counted, and logged once a minute per agent', async () => {
    const answer = '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}';
    await open(respondWith(200, answer, { 'content-type': 'application/json' }));
    for (let round = 0; round < 3; round += 1) {
      await opened.append(delivery({ items: 5 }));
      await opened.emptied();
    }
    expect(await opened.counts()).toEqual({
      delivered: 9,
      dropped: { partial_success_downstream: 6 },
    });
    expect(opened.logLines.length).toBe(1);
    expect(opened.logLines[0]).toContain('too old');
    opened.clock.advance(60_000);
    await opened.append(delivery({ items: 5 }));
    await opened.emptied();
    expect(JSON.parse(opened.logLines[1] ?? '')).toMatchObject({ suppressed: 2 });
  });

  test('more than it was sent: no more than that is counted', async () => {
    const answer = '{"partialSuccess":{"rejectedSpans":"900"}}';
    await open(respondWith(200, answer, { 'content-type': 'application/json' }));
    await opened.append(delivery({ items: 5 }));
    await opened.emptied();
    expect(await opened.counts()).toEqual({
      delivered: 0,
      dropped: { partial_success_downstream: 5 },
    });
  });

  test('nothing, but says much: the status alone counts', async () => {
    await open(respondWith(200, 'x'.repeat(1_000_000), { 'content-type': 'application/json' }));
    await opened.append(delivery(), delivery({ agentId: 'b' }));
    await opened.emptied();
    expect(await opened.counts()).toEqual({ delivered: 2, dropped: {} });
  });
});

test('a body that cannot be re-encoded is dropped alone, and does not stop its lane', async () => {
  await open(respondOk, { downstream: { compression: 'none' } });
  const gzip = (text: string) => ({ compression: 'gzip' as const, body: [gzipSync(text)] });
  await opened.append(delivery({ compression: 'gzip', text: 'not gzip' }), delivery(gzip('a;')));
  await opened.append(delivery(gzip('b;')), delivery(gzip('c;')));
  await opened.emptied();
  expect([...downstream.accepted].sort()).toEqual(['a', 'b', 'c']);
  expect(await opened.counts()).toEqual({ delivered: 3, dropped: { refused_downstream: 1 } });
});

test('neither a client key nor a configured header is ever logged', async () => {
  await open(respondWith(400), { downstream: { headers: { authorization: 'Bearer s3cret' } } });
  await opened.append(delivery({ forwardKey: 'mibo_s3cret' }));
  await opened.emptied();
  downstream.respond = respondWith(503);
  await opened.append(delivery({ forwardKey: 'mibo_s3cret' }));
  await rests();
  expect(opened.logLines.length).toBeGreaterThan(1);
  expect(opened.logLines.join('')).not.toContain('s3cret');
});
