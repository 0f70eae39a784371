import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import type { TracesApiResult } from '../../src/core/incoming.ts';
import { type HttpSend, sendHttp } from './clients.ts';
import { mebibyte, startReceiver, type UnderTest } from './receiver-under-test.ts';

let under: UnderTest;
let relay: () => TracesApiResult;

beforeAll(async () => {
  under = await startReceiver({ relay: () => relay() });
});
beforeEach(() => {
  under.received.length = 0;
});
afterAll(async () => {
  expect(under.budget.usedBytes).toBe(0);
  await under.stop();
});

const path = '/public/traces';
const flat = '{"spans":[]}';
const send = (more: HttpSend = {}) =>
  sendHttp(under.httpPort, {
    path,
    body: flat,
    ...more,
    headers: { 'content-type': 'application/json', ...more.headers },
  });

const relayed = (more: object = {}): TracesApiResult => ({
  kind: 'relayed',
  status: 201,
  contentType: 'application/json; charset=utf-8',
  body: Buffer.from('{"success":true}'),
  warning: undefined,
  ...more,
});

describe('answers', () => {
  test("the downstream's own answer is handed on as it is", async () => {
    relay = () => relayed();
    const reply = await send({ headers: { 'x-request-id': 'chat-001' } });
    expect([reply.status, reply.body.toString()]).toEqual([201, '{"success":true}']);
    expect(reply.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(reply.headers['x-mibo-warning']).toBeUndefined();
    expect(under.received[0]?.request.requestId).toBe('chat-001');
    expect(under.received[0]?.body).toMatchObject({ encoding: 'json', message: Buffer.from(flat) });
  });

  test('a refusal of the downstream, too, with a warning as a header', async () => {
    relay = () => relayed({ status: 422, warning: 'remove – the agent\r\nx: y' });
    const reply = await send();
    expect(reply.status).toBe(422);
    expect(reply.headers['x-mibo-warning']).toBe('remove ? the agent??x: y');
  });

  test('one that cannot be written is a 503, not silence', async () => {
    relay = () => relayed({ status: 99_999 });
    expect((await send()).status).toBe(503);
  });

  test('an OTLP envelope is answered as OTLP, in its encoding', async () => {
    relay = () => ({
      kind: 'export',
      encoding: 'proto',
      result: { rejectedItems: 0, message: '' },
    });
    const reply = await send({ headers: { 'content-type': 'application/x-protobuf' } });
    expect([reply.status, reply.body.length]).toEqual([200, 0]);
    expect(reply.headers['content-type']).toBe('application/x-protobuf');
  });
});

describe('bodies', () => {
  test("the n8n node's large ones arrive as gzip octets and are JSON", async () => {
    relay = () => relayed();
    const headers = { 'content-type': 'application/octet-stream', 'content-encoding': 'gzip' };
    expect((await send({ headers, body: gzipSync(flat) })).status).toBe(201);
    expect(under.received[0]?.body).toMatchObject({ encoding: 'json', message: Buffer.from(flat) });
  });

  test('octets are no JSON on the OTLP path', async () => {
    const reply = await send({
      path: '/v1/traces',
      headers: { 'content-type': 'application/octet-stream' },
    });
    expect(reply.status).toBe(415);
  });

  test('10 MiB are the limit here, also inflated', async () => {
    relay = () => relayed();
    const most = Buffer.alloc(10 * mebibyte, 0x20);
    const more = Buffer.alloc(10 * mebibyte + 1, 0x20);
    expect((await send({ body: most })).status).toBe(201);
    const headers = { 'content-encoding': 'gzip' };
    for (const refused of [send({ body: more }), send({ body: gzipSync(more), headers })]) {
      const reply = await refused;
      const { error } = JSON.parse((await refused).body.toString());
      expect([reply.status, error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
      expect(error.message).toContain('payload too large');
    }
  });
});

describe("errors have Mibo's shape", () => {
  test('always in JSON, with details and the time', async () => {
    const details = [
      { location: 'body', msg: 'is odd', path: 'platformId', type: 'field' },
    ] as const;
    relay = () => {
      throw new GatewayError('malformed', 'write it like this', { details });
    };
    const reply = await send({ headers: { 'content-type': 'application/x-protobuf' } });
    expect([reply.status, reply.reason]).toEqual([400, 'write it like this']);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(JSON.parse(reply.body.toString())).toEqual({
      success: false,
      error: { code: 'VALIDATION_ERROR', message: 'write it like this', details },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
  });

  test.for([
    [{ 'x-api-key': [] as string[] }, 401, 'MISSING_API_KEY'],
    [{ 'x-api-key': 'bad' }, 401, 'INVALID_API_KEY'],
    [{ 'content-type': 'text/csv' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [{ 'content-encoding': 'br' }, 415, 'UNSUPPORTED_ENCODING'],
  ] as const)('%j is %i %s', async ([headers, status, code]) => {
    const reply = await send({ headers: headers as unknown as Record<string, string> });
    expect([reply.status, JSON.parse(reply.body.toString()).error.code]).toEqual([status, code]);
  });

  test('a wait is named', async () => {
    relay = () => {
      throw new GatewayError('queue_full', 'wait');
    };
    expect((await send()).headers['retry-after']).toBe('2');
  });

  test('GET is a 405', async () => {
    const reply = await send({ method: 'GET', body: '' });
    expect([reply.status, reply.headers.allow]).toEqual([405, 'POST']);
  });
});

test('the path can be another, and can be closed', async () => {
  const other = await startReceiver({ tracesApi: { path: '/mine/' }, relay: () => relayed() });
  const sent = (at: string) => sendHttp(other.httpPort, { path: at, body: flat });
  expect([(await sent('/mine')).status, (await sent(path)).status]).toEqual([201, 404]);
  await other.stop();
  const closed = await startReceiver({ tracesApi: { enabled: false } });
  expect((await sendHttp(closed.httpPort, { path, body: flat })).status).toBe(404);
  await closed.stop();
});
