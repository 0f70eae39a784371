/** Your API: the client gets the downstream's own answer, or is asked to send again. */
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { delivery } from '../queue/delivery.ts';
import {
  type Downstream,
  type Respond,
  respondOk,
  respondWith,
  startDownstream,
} from './downstream.ts';
import { type OpenForwarder, openForwarder, until } from './open-forwarder.ts';

let downstream: Downstream;
let opened: OpenForwarder;

async function open(respond: Respond) {
  downstream = await startDownstream(respond);
  opened = openForwarder({ endpoint: downstream.endpoint });
}

afterEach(async () => {
  await opened.close();
  await downstream.stop();
});

const json = { 'content-type': 'application/json' };

function relay(requestId?: string) {
  const flat = delivery({
    signal: 'traces_api',
    encoding: 'json',
    text: '{"spans":[{}]}',
    ...(requestId === undefined ? {} : { requestId }),
  });
  return opened.forwarder.relay(flat, 9000);
}

describe('relay', () => {
  test('hands on status, content type and body', async () => {
    await open(respondWith(201, '{"success":true,"data":{"id":"tr_1"}}', json));
    const answer = await relay('trace-1');
    expect(answer).toEqual({
      status: 201,
      contentType: 'application/json',
      body: Buffer.from('{"success":true,"data":{"id":"tr_1"}}'),
    });
    expect(downstream.received[0]).toMatchObject({
      path: '/public/traces',
      headers: { ...json, 'x-request-id': 'trace-1' },
    });
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  });

  test('serves one client after the other, whatever became of those before', async () => {
    await open((response) => void response.writeHead(200).end());
    for (let round = 0; round < 10; round += 1) {
      downstream.respond = round % 2 === 0 ? respondOk : respondWith(503);
      await relay().catch(() => undefined);
    }
    expect(downstream.received.length).toBe(10);
  });

  test.each([400, 401, 404, 409, 413, 500])('%i is the client’s to see', async (status) => {
    await open(respondWith(status, '{"success":false}', json));
    expect(await relay()).toMatchObject({ status, body: Buffer.from('{"success":false}') });
    expect(await opened.counts()).toEqual({ delivered: 0, dropped: {} });
  });

  test.each([429, 502, 503, 504])('%i asks the client to send again', async (status) => {
    await open(respondWith(status, '', { 'retry-after': '60' }));
    await expect(relay()).rejects.toMatchObject({
      kind: 'downstream_unavailable',
      retryAfterMs: 3000,
    });
    expect(downstream.received.length).toBe(1);
  });

  test('a downstream that is away asks the client to send again', async () => {
    await open(respondOk);
    await downstream.stop();
    await expect(relay()).rejects.toMatchObject({ kind: 'downstream_unavailable' });
  });

  test('no answer shortly before the deadline asks the client to send again', async () => {
    await open(() => {});
    const answer = relay();
    await until(() => downstream.received.length === 1);
    opened.clock.advance(9000 - 250);
    await expect(answer).rejects.toMatchObject({ kind: 'downstream_unavailable' });
  });

  test('a redirect is not followed, nor handed on', async () => {
    await open(respondWith(307, '', { location: '/elsewhere' }));
    await expect(relay()).rejects.toMatchObject({ kind: 'refused_downstream' });
    expect(downstream.received.length).toBe(1);
  });

  test('an answer of several megabytes is handed on, a longer one is not', async () => {
    await open(respondWith(200, 'x'.repeat(3_000_000)));
    expect((await relay()).body.length).toBe(3_000_000);
    downstream.respond = respondWith(200, 'x'.repeat(5_000_000));
    await expect(relay()).rejects.toMatchObject({ kind: 'downstream_unavailable' });
  });

  test('a client that waits goes before the queue', async () => {
    const held: ServerResponse[] = [];
    await open((response) => void held.push(response));
    for (let agent = 0; agent < 8; agent += 1) {
      await opened.append(delivery({ agentId: `agent-${agent}` }));
    }
    opened.forwarder.run(opened.queue);
    await until(() => held.length === 4);
    const answer = relay();
    held[0]?.writeHead(200).end();
    await until(() => held.length === 5);
    expect(downstream.received[4]?.path).toBe('/public/traces');
    downstream.respond = respondOk;
    for (const each of held.slice(1)) each.writeHead(200).end();
    expect(await answer).toMatchObject({ status: 200 });
    await opened.emptied();
  });
});
