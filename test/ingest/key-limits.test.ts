/** What a sender sees of the limits of its key, at each door. */
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { framed, type GrpcAnswer, grpcClient, retryInfoOf } from '../harness/grpc-client.ts';
import { type HttpAnswer, http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { type Doors, type DoorsOptions, openDoors } from './doors-in-process.ts';

let doors: Doors;
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(options: DoorsOptions): Promise<Doors> {
  doors = await openDoors(options);
  closing.push(doors.stop);
  return doors;
}

const spans = (count: number) => makeExport({ spans: count });

type HttpSend = {
  readonly path?: string;
  readonly headers?: readonly string[];
  readonly body?: Buffer;
};

function sendHttp({ path = '/v1/traces', headers = protobuf, body }: HttpSend = {}) {
  return http({
    port: doors.httpPort,
    path,
    headers: ['x-api-key', doors.keys[0], ...headers],
    body: body ?? spans(1).proto,
  });
}

const protobuf = ['Content-Type', 'application/x-protobuf'];
const json = ['Content-Type', 'application/json'];

async function sendGrpc(body = spans(1).proto): Promise<GrpcAnswer> {
  const client = grpcClient(doors.grpcPort);
  try {
    return await client.call({ headers: ['x-api-key', doors.keys[0]], body: framed(body) });
  } finally {
    client.close();
  }
}

function flatBody(count: number): Buffer {
  const all = Array.from({ length: count }, (_, index) => ({ span_id: `${index}`, name: 'step' }));
  return Buffer.from(JSON.stringify({ spans: all }));
}

const limitsOf = ({ headers }: HttpAnswer) => [headers['ratelimit-policy'], headers.ratelimit];

describe('the answer says what the key has left', () => {
  test('on success, in structured fields, for every form of request over HTTP', async () => {
    await open({ requestsPerSecond: 10, spansPerSecond: 100, bytesPerSecond: 1_000_000 });
    const body = spans(3);
    const first = await sendHttp({ body: body.proto });
    const bytes = 1_000_000 - body.proto.length;
    expect([first.status, ...limitsOf(first)]).toEqual([
      200,
      '"requests";q=10;w=1, "spans";q=100;w=1;qu="spans", ' +
        '"bytes";q=1000000;w=1;qu="content-bytes"',
      `"requests";r=9;t=1, "spans";r=97;t=1, "bytes";r=${bytes};t=1`,
    ]);
    const second = await sendHttp({ headers: json, body: body.json });
    expect(limitsOf(second)[1]).toBe(
      `"requests";r=8;t=1, "spans";r=94;t=1, "bytes";r=${bytes - body.json.length};t=1`,
    );
    const flat = flatBody(4);
    const third = await sendHttp({ path: '/public/traces', headers: json, body: flat });
    expect([third.status, limitsOf(third)[1]]).toEqual([
      201,
      '"requests";r=7;t=1, "spans";r=90;t=1, ' +
        `"bytes";r=${bytes - body.json.length - flat.length};t=1`,
    ]);
  });

  test('of the inflated bytes, however small they came', async () => {
    await open({ bytesPerSecond: 1_000_000 });
    const { proto } = makeExport({ paddingBytes: 100_000 });
    const headers = [...protobuf, 'Content-Encoding', 'gzip'];
    const answer = await sendHttp({ headers, body: gzipSync(proto) });
    expect(limitsOf(answer)[1]).toBe(`"bytes";r=${1_000_000 - proto.length};t=1`);
  });

  test('and says nothing where nothing is limited, or the key is not known', async () => {
    await open({});
    expect(limitsOf(await sendHttp())).toEqual([undefined, undefined]);
    await open({ requestsPerSecond: 10 });
    const refused = await http({
      port: doors.httpPort,
      headers: ['x-api-key', 'mibo_0123456789abcdef', ...protobuf],
    });
    expect([refused.status, ...limitsOf(refused)]).toEqual([401, undefined, undefined]);
  });
});

describe('a key over its limit', () => {
  test('is refused over HTTP before its body is read, and told when to come back', async () => {
    await open({ requestsPerSecond: 2 });
    expect([(await sendHttp()).status, (await sendHttp()).status]).toEqual([200, 200]);
    const { answer, upload } = openHttp({
      port: doors.httpPort,
      headers: ['x-api-key', doors.keys[0], ...protobuf, 'Content-Length', '1000'],
    });
    upload.flushHeaders();
    const refused = await answer;
    upload.destroy();
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toBe('1');
    expect(limitsOf(refused)).toEqual(['"requests";q=2;w=1', '"requests";r=0;t=1']);
    expect(refused.reason).toBe(
      'send fewer and larger batches: this API key may send 2 requests per second',
    );
    doors.clock.advance(1);
    expect((await sendHttp()).status).toBe(200);
  });

  test('is refused over gRPC with RetryInfo, in both forms', async () => {
    await open({ spansPerSecond: 100 });
    expect((await sendGrpc(spans(250).proto)).status).toBe(0);
    const refused = await sendGrpc();
    expect(refused.status).toBe(8);
    expect(refused.message).toBe(
      'send fewer spans: this API key may send 100 spans per second [RATE_LIMITED]',
    );
    expect(retryInfoOf(refused)).toEqual({ inStatus: 1501, inTrailer: 1501 });
    doors.clock.advance(1501);
    expect((await sendGrpc()).status).toBe(0);
    expect(doors.delivered.map(({ items }) => items)).toEqual([250, 1]);
  });

  test('is refused on Your API in the shape of its errors', async () => {
    await open({ spansPerSecond: 10 });
    const send = () => sendHttp({ path: '/public/traces', headers: json, body: flatBody(10) });
    expect((await send()).status).toBe(201);
    const refused = await send();
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.body.toString())).toMatchObject({
      success: false,
      error: { code: 'RATE_LIMITED', message: expect.stringContaining('10 spans per second') },
    });
    expect(refused.headers['retry-after']).toBe('1');
  });

  test('shares nothing with another key', async () => {
    await open({ requestsPerSecond: 1 });
    expect([(await sendHttp()).status, (await sendHttp()).status]).toEqual([200, 429]);
    const other = await http({
      port: doors.httpPort,
      headers: ['x-api-key', doors.keys[1], ...protobuf],
      body: spans(1).proto,
    });
    expect(other.status).toBe(200);
  });

  test('by what others sent while its body came is refused, all spans counted', async () => {
    await open({ spansPerSecond: 10 });
    const body = spans(7).proto;
    const framing = ['Content-Length', `${body.length}`, 'Expect', '100-continue'];
    const { answer, upload } = openHttp({
      port: doors.httpPort,
      headers: ['x-api-key', doors.keys[0], ...protobuf, ...framing],
    });
    upload.flushHeaders();
    // Said once the key was admitted.
    await once(upload, 'continue');
    await sendHttp({ body: spans(10).proto });
    upload.end(body);
    expect((await answer).status).toBe(429);
    expect(await doors.metrics()).toContain(
      'mibo_gateway_items_total{outcome="rejected",reason="rate_limited"} 7',
    );
  });
});
