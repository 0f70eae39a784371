import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorKind, errorTable, GatewayError } from '../../src/core/errors.ts';
import { head, openRaw, sendHttp } from './clients.ts';
import { fullSuccess, goodKey, startReceiver, type UnderTest } from './receiver-under-test.ts';

let under: UnderTest;
let settle: () => { rejectedItems: number; message: string } = () => fullSuccess;

beforeAll(async () => {
  under = await startReceiver({ settle: () => settle() });
});
beforeEach(() => {
  settle = () => fullSuccess;
  under.received.length = 0;
  under.refusals.length = 0;
});
afterAll(async () => {
  expect(under.budget.usedBytes).toBe(0);
  await under.stop();
});

const message = Buffer.from('0a02080112', 'hex');
const last = () => under.received.at(-1);

function decodeStatus(body: Buffer): { code: number; message: string } {
  const reader = protobuf.Reader.create(body);
  const status = { code: 0, message: '' };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 8) status.code = reader.int32();
    else if (tag === 18) status.message = reader.string();
    else throw new Error(`unexpected field ${tag >>> 3}: details are to be empty`);
  }
  return status;
}

describe('success', () => {
  test('full success in protobuf is zero bytes with the bare content type', async () => {
    const reply = await sendHttp(under.httpPort, {
      body: message,
      headers: { 'content-type': 'Application/X-Protobuf; charset=utf-8' },
    });
    expect(reply.status).toBe(200);
    expect(reply.headers['content-type']).toBe('application/x-protobuf');
    expect(reply.headers['content-length']).toBe('0');
    expect(reply.body.length).toBe(0);
    expect(last()?.body.encoding).toBe('proto');
    expect(last()?.body.message).toEqual(message);
    expect(last()?.body.received).toBe(last()?.body.message);
  });

  test('full success in JSON is {} with the bare content type', async () => {
    const reply = await sendHttp(under.httpPort, {
      body: '{}',
      headers: { 'content-type': 'application/json; charset=utf-8' },
    });
    expect([reply.status, reply.body.toString()]).toEqual([200, '{}']);
    expect(reply.headers['content-type']).toBe('application/json');
  });

  test('application/protobuf is protobuf', async () => {
    await sendHttp(under.httpPort, { headers: { 'content-type': 'application/protobuf' } });
    expect(last()?.body.encoding).toBe('proto');
  });

  test('an empty body without a length is an empty request', async () => {
    const reply = await sendHttp(under.httpPort, { chunks: [] });
    expect(reply.status).toBe(200);
    expect(last()?.body.message.length).toBe(0);
  });

  test('a partial success says how many and why', async () => {
    settle = () => ({ rejectedItems: 3, message: 'name an agent' });
    const reply = await sendHttp(under.httpPort, {
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.body.toString())).toEqual({
      partialSuccess: { rejectedSpans: '3', errorMessage: 'name an agent' },
    });
    expect(await under.metrics()).toMatch(/requests_total\{protocol="http",outcome="partial"\} 1/);
  });

  test('every answer carries a request id, which ingest knows too', async () => {
    const reply = await sendHttp(under.httpPort);
    const refused = await sendHttp(under.httpPort, { path: '/nowhere' });
    expect(reply.headers['x-mibo-gateway-request-id']).toBe(last()?.request.gatewayRequestId);
    expect(refused.headers['x-mibo-gateway-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('the head', () => {
  test('reaches ingest: key, target, request id, peer, deadline', async () => {
    const before = performance.now();
    await sendHttp(under.httpPort, {
      headers: {
        authorization: 'Bearer abc',
        'x-mibo-platform-id': '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c',
        'x-request-id': 'chat-001',
      },
    });
    const request = last()?.request;
    expect(request?.credentials).toEqual({ apiKey: [goodKey], authorization: ['Bearer abc'] });
    expect(request?.platformHeader).toBe('7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c');
    expect(request?.requestId).toBe('chat-001');
    expect(request?.peer).toBe('127.0.0.1');
    expect(request?.deadlineAtMs).toBeGreaterThanOrEqual(before + 9000);
    expect(request?.deadlineAtMs).toBeLessThan(performance.now() + 9000);
  });

  test('no x-request-id is ever invented', async () => {
    await sendHttp(under.httpPort);
    expect(last()?.request.requestId).toBeUndefined();
    expect(last()?.request.platformHeader).toBeUndefined();
  });

  test('a repeated key header arrives as several values', async () => {
    const values: (readonly string[])[] = [];
    const twice = await startReceiver({
      beforeKey: async ({ credentials }) => {
        values.push(credentials.apiKey, credentials.authorization);
      },
    });
    const raw = await openRaw(twice.httpPort);
    raw.socket.write(
      head(['X-Api-Key: other', 'Authorization: Bearer a', 'authorization: Bearer b']),
    );
    await raw.until(/HTTP\/1.1 401/);
    expect(values).toEqual([
      [goodKey, 'other'],
      ['Bearer a', 'Bearer b'],
    ]);
    raw.socket.destroy();
    await twice.stop();
  });
});

describe('compression', () => {
  const text = Buffer.from('spans '.repeat(1000));
  test.for([
    ['gzip', gzipSync(text), 'gzip'],
    ['x-gzip', gzipSync(text), 'gzip'],
    ['GZIP', gzipSync(text), 'gzip'],
    ['deflate', deflateSync(text), 'deflate'],
    ['zstd', zstdCompressSync(text), 'zstd'],
    ['identity', text, 'identity'],
  ] as const)('%s is read, and kept as received', async ([name, body, compression]) => {
    const reply = await sendHttp(under.httpPort, { body, headers: { 'content-encoding': name } });
    expect(reply.status).toBe(200);
    expect(last()?.body).toMatchObject({ compression, received: body, message: text });
  });

  test('raw deflate is read, but not handed on as if everyone could', async () => {
    const body = deflateRawSync(text);
    await sendHttp(under.httpPort, { body, headers: { 'content-encoding': 'deflate' } });
    expect(last()?.body).toMatchObject({
      compression: 'identity',
      received: text,
      message: text,
    });
  });

  test('another encoding is a 415 that names the accepted ones', async () => {
    const reply = await sendHttp(under.httpPort, { headers: { 'content-encoding': 'br' } });
    expect(reply.status).toBe(415);
    expect(reply.headers['accept-encoding']).toBe('gzip, deflate, zstd, identity');
    expect(decodeStatus(reply.body)).toMatchObject({ code: 12 });
  });

  test('a body that is cut off, or not compressed at all, says so', async () => {
    const headers = { 'content-encoding': 'gzip' };
    const cut = await sendHttp(under.httpPort, { body: gzipSync(text).subarray(0, 40), headers });
    const plain = await sendHttp(under.httpPort, { body: text, headers });
    expect([cut.status, cut.reason]).toEqual([
      400,
      'send the whole body: Content-Encoding gzip, but the body is cut off',
    ]);
    expect(plain.reason).toMatch(/cut off, or not gzip/);
  });
});

describe('paths', () => {
  test.for([
    '/v1/traces',
    '/v1/traces/',
    '//v1/traces',
    '/v1/traces/v1/traces',
    '/',
    '/v1/traces?x=1',
    'http://gateway:4318/v1/traces',
    '/public/traces/v1/traces',
  ])('POST %s is served in place', async (path) => {
    expect((await sendHttp(under.httpPort, { path })).status).toBe(200);
    expect(under.received.length).toBe(1);
  });

  test('another path is a 404 Status that names the right one and repeats nothing', async () => {
    const path = `/v2/spans/${goodKey}`;
    const reply = await sendHttp(under.httpPort, { path });
    const status = decodeStatus(reply.body);
    expect([reply.status, status.code]).toEqual([404, 12]);
    expect(status.message).toContain('/v1/traces');
    expect(status.message).not.toContain(goodKey);
  });

  test.for(['logs', 'metrics'])('/v1/%s is a 404 that names the cure', async (signal) => {
    for (const path of [`/v1/${signal}`, `/v1/traces/v1/${signal}`]) {
      const reply = await sendHttp(under.httpPort, { path });
      expect(reply.status).toBe(404);
      expect(reply.reason).toContain(`OTEL_${signal.toUpperCase()}_EXPORTER=none`);
    }
  });

  test('GET is a 405 with Allow', async () => {
    const reply = await sendHttp(under.httpPort, { method: 'GET' });
    expect([reply.status, reply.headers.allow]).toEqual([405, 'POST']);
  });

  test('GET /health needs no key', async () => {
    const reply = await sendHttp(under.httpPort, {
      method: 'GET',
      path: '/health',
      headers: { 'x-api-key': '' },
    });
    expect([reply.status, reply.body.toString()]).toEqual([200, '{"status":"ok"}']);
  });
});

describe('the error table', () => {
  const kinds = Object.keys(errorTable) as ErrorKind[];

  test.for(kinds)('%s is rendered in protobuf and in JSON', async (kind) => {
    const row: { http: number; grpc: number; code: string; retryAfterMs?: number } =
      errorTable[kind];
    settle = () => {
      throw new GatewayError(kind, `write – it like this…\r\n${'x'.repeat(200)}`);
    };
    const proto = await sendHttp(under.httpPort, { body: message });
    const json = await sendHttp(under.httpPort, {
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect([proto.status, json.status]).toEqual([row.http, row.http]);
    expect(proto.headers['content-type']).toBe('application/x-protobuf');
    expect(json.headers['content-type']).toBe('application/json');
    const status = decodeStatus(proto.body);
    expect(JSON.parse(json.body.toString())).toEqual(status);
    expect(status.code).toBe(row.grpc);
    expect(status.message).toMatch(/^write – it like this….*\[[A-Z_]+\]$/s);
    expect(proto.reason).toMatch(/^write \? it like this\.\.\.\?\?x+$/);
    expect(proto.reason.length).toBe(120);
    const wait = proto.headers['retry-after'];
    if (row.retryAfterMs === undefined) expect(wait).toBeUndefined();
    else expect(wait).toMatch(/^[123]$/);
    expect(await under.metrics()).toMatch(
      new RegExp(`requests_total{protocol="http",outcome="${kind}"} [2-9]`),
    );
  });

  test('a longer wait is cut to what exporters still accept', async () => {
    settle = () => {
      throw new GatewayError('queue_full', 'wait', { retryAfterMs: 60_000 });
    };
    expect((await sendHttp(under.httpPort)).headers['retry-after']).toBe('3');
    settle = () => {
      throw new GatewayError('queue_full', 'wait', { retryAfterMs: 10 });
    };
    expect((await sendHttp(under.httpPort)).headers['retry-after']).toBe('1');
  });

  test('an unknown fault is a retryable 503 that says nothing of it', async () => {
    settle = () => {
      throw new Error('secret detail');
    };
    const reply = await sendHttp(under.httpPort);
    expect([reply.status, reply.headers['retry-after']]).toEqual([503, '2']);
    expect(reply.body.toString()).not.toContain('secret');
  });

  test('a missing content type is a 415, but a missing key comes first', async () => {
    const odd = { 'content-type': 'text/plain' };
    const typeless = await sendHttp(under.httpPort, { headers: odd });
    const keyless = await sendHttp(under.httpPort, { headers: { ...odd, 'x-api-key': 'nope' } });
    expect(typeless.status).toBe(415);
    expect(JSON.parse(typeless.body.toString()).code).toBe(3);
    expect(keyless.status).toBe(401);
    expect(keyless.headers['content-type']).toBe('application/json');
  });

  test('gRPC over HTTP/1.1 is a 415 that says what is missing', async () => {
    const headers = { 'content-type': 'application/grpc' };
    const reply = await sendHttp(under.grpcPort, { headers });
    expect([reply.status, reply.reason]).toEqual([
      415,
      'send gRPC over HTTP/2, or application/x-protobuf over HTTP/1.1',
    ]);
  });

  test('a refusal is recorded once, with its key where it is known', async () => {
    await sendHttp(under.httpPort, { headers: { 'content-encoding': 'compress' } });
    await sendHttp(under.httpPort, { headers: { 'content-encoding': 'compress' } });
    const count = /outcome="unsupported_encoding"\} (\d+)/.exec(await under.metrics());
    await sendHttp(under.httpPort, { headers: { 'content-encoding': 'compress' } });
    const next = /outcome="unsupported_encoding"\} (\d+)/.exec(await under.metrics());
    expect(Number(next?.[1]) - Number(count?.[1])).toBe(1);
  });
});
