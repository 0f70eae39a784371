/** Queue → downstream: what arrives, in which form, and that every span has one counted outcome. */
import type { ServerResponse } from 'node:http';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/core/delivery.ts';
import { delivery } from '../queue/delivery.ts';
import { type Downstream, type Respond, respondOk, startDownstream } from './downstream.ts';
import { type OpenForwarder, type OpenOptions, openForwarder, until } from './open-forwarder.ts';

let downstream: Downstream;
let opened: OpenForwarder;

async function open(respond = respondOk, options: Partial<OpenOptions> = {}, basePath = '') {
  downstream = await startDownstream(respond);
  opened = openForwarder({ endpoint: downstream.endpoint + basePath, ...options });
  opened.forwarder.run(opened.queue);
}

afterEach(async () => {
  await opened.closeBalanced();
  await downstream.stop();
});

/** The first request waits for its answer until `release` is called; the others are answered. */
function heldFirst(): { respond: Respond; release: () => void } {
  let release: (() => void) | undefined;
  return {
    respond(response) {
      if (release !== undefined) response.writeHead(200).end();
      release ??= () => void response.writeHead(200).end();
    },
    release: () => release?.(),
  };
}

/** The first goes alone, the others wait together behind it. */
async function sendBehindOne(others: readonly Delivery[], fields: Partial<Delivery> = {}) {
  const held = heldFirst();
  downstream.respond = held.respond;
  await opened.append(delivery({ ...fields, text: 'first;' }));
  await until(() => downstream.received.length === 1);
  await opened.append(...others);
  held.release();
  await opened.emptied();
}

describe('a delivery', () => {
  test('arrives with its bytes and the headers of the contract', async () => {
    await open(respondOk, { downstream: { headers: { Authorization: 'Bearer token' } } });
    const given = delivery({ text: 'a;', compression: 'gzip', requestId: 'trace-1' });
    await opened.append(given);
    await opened.emptied();
    const [received] = downstream.received;
    expect(received?.path).toBe('/v1/traces');
    expect(received?.body.toString()).toBe('a;');
    const { host, connection, ...headers } = received?.headers ?? {};
    expect(headers).toEqual({
      'content-type': 'application/x-protobuf',
      'content-encoding': 'gzip',
      'content-length': '2',
      'x-mibo-project-id': 'project-1',
      'x-mibo-platform-id': given.agentId,
      'x-mibo-key-id': 'key-1',
      'idempotency-key': given.idempotencyKey,
      'x-request-id': 'trace-1',
      'x-mibo-gateway-request-id': given.gatewayRequestId,
      authorization: 'Bearer token',
    });
    expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  });

  test('of a passthrough gateway carries the key, and no project, agent or encoding', async () => {
    await open(respondOk, { downstream: { headers: { 'X-API-Key': 'configured' } } });
    await opened.append(
      delivery({ projectId: '', agentId: '', keyId: 'here', forwardKey: 'mibo_client' }),
    );
    await opened.emptied();
    const headers = downstream.received[0]?.headers ?? {};
    expect(headers['x-api-key']).toBe('mibo_client');
    const absent = ['x-mibo-project-id', 'x-mibo-platform-id', 'x-mibo-key-id', 'x-request-id'];
    for (const name of [...absent, 'content-encoding']) expect(headers).not.toHaveProperty(name);
  });

  test('of Your API goes as JSON to its own path', async () => {
    await open(respondOk, {}, '/base/');
    await opened.append(delivery({ signal: 'traces_api', encoding: 'json', text: '{"spans":[]}' }));
    await opened.emptied();
    expect(downstream.received[0]?.path).toBe('/base/public/traces');
    expect(downstream.received[0]?.headers['content-type']).toBe('application/json');
    expect(downstream.received[0]?.body.toString()).toBe('{"spans":[]}');
  });

  test.each([
    ['small', 100],
    ['big', 300_000],
  ])('in several %s pieces arrives as one body', async (_what, bytes) => {
    await open();
    const piece = Buffer.alloc(bytes, 'x');
    await opened.append(delivery({ body: [Buffer.from('a;'), piece, Buffer.from(';b;'), piece] }));
    await opened.emptied();
    const expected = Buffer.concat([Buffer.from('a;'), piece, Buffer.from(';b;'), piece]);
    expect(downstream.received[0]?.body.equals(expected)).toBe(true);
    expect(downstream.received[0]?.headers['content-length']).toBe(String(expected.length));
  });

  test('that is empty is delivered too', async () => {
    await open();
    await opened.append(delivery({ body: [] }));
    await opened.emptied();
    expect(downstream.received[0]?.headers['content-length']).toBe('0');
  });
});

describe('joining', () => {
  test('what waits for the same agent arrives as one request, with a key of its own', async () => {
    await open();
    await sendBehindOne(['a;', 'b;', 'c;'].map((text) => delivery({ text })));
    expect(downstream.received.map((each) => each.names)).toEqual([['first'], ['a', 'b', 'c']]);
    expect(downstream.received[1]?.headers['idempotency-key']).toMatch(/^joined-[\w-]{43}$/);
    expect(await opened.counts()).toEqual({ delivered: 4, dropped: {} });
  });

  test('gzip members are one gzip body', async () => {
    await open();
    const others = ['a;', 'b;'].map((text) =>
      delivery({ compression: 'gzip', body: [gzipSync(text)] }),
    );
    await sendBehindOne(others, { compression: 'gzip' });
    expect(gunzipSync(downstream.received[1]?.body ?? '').toString()).toBe('a;b;');
  });

  test('zstd frames are one zstd body', async () => {
    await open();
    const others = ['a;', 'b;'].map((text) =>
      delivery({ compression: 'zstd', body: [zstdCompressSync(text)] }),
    );
    await sendBehindOne(others, { compression: 'zstd' });
    expect(zstdDecompressSync(downstream.received[1]?.body ?? '').toString()).toBe('a;b;');
  });

  test('goes up to the configured size', async () => {
    await open(respondOk, { batchBytesMax: 5 });
    await sendBehindOne(['a;', 'b;', 'c;'].map((text) => delivery({ text })));
    expect(downstream.received.map((each) => each.names.length)).toEqual([1, 2, 1]);
  });
});

describe('order and fairness', () => {
  test('one request of an agent is under way at a time, and its order is kept', async () => {
    await open((response) => setImmediate(() => response.writeHead(200).end()));
    const names = Array.from({ length: 50 }, (_, index) => `s${index}`);
    for (const name of names) await opened.append(delivery({ text: `${name};` }));
    await opened.emptied();
    expect(downstream.open.most).toBe(1);
    expect(downstream.received.flatMap((each) => each.names)).toEqual(names);
  });

  test('no more requests than connections are under way, whoever waits', async () => {
    const held: ServerResponse[] = [];
    await open((response) => {
      held.push(response);
      if (held.length < 4) return;
      for (const each of held.splice(0)) each.writeHead(200).end();
    });
    for (let agent = 0; agent < 100; agent += 1) {
      await opened.append(delivery({ agentId: `agent-${agent}` }));
    }
    await opened.emptied();
    expect(downstream.open.most).toBe(4);
    expect(downstream.received.length).toBe(100);
  });

  test('an agent that stalls does not hold up the others', async () => {
    await open((response, { headers }) => {
      if (headers['x-mibo-platform-id'] !== 'stalls') response.writeHead(200).end();
    });
    await opened.append(delivery({ agentId: 'stalls', items: 7 }));
    for (let index = 0; index < 200; index += 1) {
      await opened.append(delivery({ agentId: `well-${index % 5}`, text: `s${index};` }));
    }
    await until(() => downstream.accepted.length === 200);
    await until(() => opened.queue.depth().deliveries === 1);
    expect((await opened.counts()).delivered).toBe(200);
  });
});
