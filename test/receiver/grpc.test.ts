import { connect as connectHttp2 } from 'node:http2';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import {
  Client,
  credentials,
  type Metadata,
  Metadata as MetadataOf,
  type ServiceError,
} from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ErrorKind, errorTable, GatewayError } from '../../src/core/errors.ts';
import { callGrpc, exportPath, frame } from './clients.ts';
import {
  fullSuccess,
  gate,
  goodKey,
  mebibyte,
  startReceiver,
  type UnderTest,
  until,
} from './receiver-under-test.ts';

let under: UnderTest;
let settle: () => Promise<{ rejectedItems: number; message: string }>;

beforeAll(async () => {
  under = await startReceiver({ settle: () => settle() });
});
beforeEach(() => {
  settle = async () => fullSuccess;
  under.received.length = 0;
});
afterAll(async () => {
  expect(under.budget.usedBytes).toBe(0);
  await under.stop();
});

const message = Buffer.from('0a02080112', 'hex');
const last = () => under.received.at(-1);

/** A call by the reference client, with its own framing, windows and deadlines. */
function callByGrpcJs(port: number, body: Buffer, key = goodKey): Promise<Metadata> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new MetadataOf();
  metadata.set('x-api-key', key);
  const same = (bytes: Buffer) => bytes;
  return new Promise<Metadata>((resolve, reject) => {
    let trailers: Metadata | undefined;
    const call = client.makeUnaryRequest(
      ...([exportPath, same, same, body, metadata] as const),
      (fault: ServiceError | null) => (fault === null ? undefined : reject(fault)),
    );
    call.on('status', (status) => {
      trailers = status.metadata;
      if (status.code === 0) resolve(trailers);
    });
  }).finally(() => client.close());
}

describe('success', () => {
  test('full success is one empty message and status 0', async () => {
    const reply = await callGrpc(under.grpcPort, { pieces: [frame(message)] });
    expect(reply).toMatchObject({ http: 200, status: 0, body: frame(Buffer.alloc(0)), rstCode: 0 });
    expect(reply.headers['content-type']).toBe('application/grpc');
    expect(reply.headers['x-mibo-gateway-request-id']).toBe(last()?.request.gatewayRequestId);
    expect(last()?.body).toMatchObject({ encoding: 'proto', compression: 'identity', message });
    expect(last()?.request.protocol).toBe('grpc');
  });

  test('a partial success is a message', async () => {
    settle = async () => ({ rejectedItems: 2, message: 'fix' });
    const reply = await callGrpc(under.grpcPort);
    expect(reply.body.subarray(5).toString('hex')).toBe('0a0708021203666978');
    expect(reply.status).toBe(0);
  });

  test('an empty message is an empty request', async () => {
    expect((await callGrpc(under.grpcPort)).status).toBe(0);
    expect(last()?.body.message.length).toBe(0);
  });

  test('grpc-js gets through, on the HTTP port too, and with 20 MiB', async () => {
    await callByGrpcJs(under.grpcPort, message);
    await callByGrpcJs(under.httpPort, message);
    await callByGrpcJs(under.grpcPort, Buffer.alloc(20 * mebibyte, 1));
    expect(last()?.body.message.equals(Buffer.alloc(20 * mebibyte, 1))).toBe(true);
  });

  test('many calls at once on one connection are all answered', async () => {
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const statuses = Array.from({ length: 200 }, (_, index) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': exportPath,
        'content-type': 'application/grpc+proto',
        'x-api-key': goodKey,
      });
      stream.end(frame(Buffer.alloc(index * 100, index)));
      stream.resume();
      return new Promise((resolve) => stream.on('trailers', (end) => resolve(end['grpc-status'])));
    });
    expect(new Set(await Promise.all(statuses))).toEqual(new Set(['0']));
    expect(under.received.length).toBe(200);
    session.destroy();
  });

  test('health needs no key', async () => {
    const path = '/grpc.health.v1.Health/Check';
    const service = (name: string) =>
      frame(Buffer.from(`\x0a${String.fromCharCode(name.length)}${name}`));
    const headers = { 'x-api-key': '' };
    const all = await callGrpc(under.grpcPort, { path, headers });
    expect([all.status, all.body.subarray(5).toString('hex')]).toEqual([0, '0801']);
    const one = await callGrpc(under.grpcPort, {
      path,
      headers,
      pieces: [service('opentelemetry.proto.collector.trace.v1.TraceService')],
    });
    expect(one.status).toBe(0);
    const unknown = await callGrpc(under.grpcPort, { path, headers, pieces: [service('x')] });
    expect(unknown.status).toBe(5);
  });
});

describe('the message', () => {
  test('may arrive in pieces of any size, the prefix too', async () => {
    const whole = frame(message);
    const pieces = Array.from(whole, (byte) => Buffer.from([byte]));
    expect((await callGrpc(under.grpcPort, { pieces })).status).toBe(0);
    expect(last()?.body.message).toEqual(message);
  });

  const text = Buffer.from('spans '.repeat(1000));
  test.for([
    ['gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['zstd', zstdCompressSync(text)],
  ] as const)('%s is read, and kept as received', async ([encoding, body]) => {
    const reply = await callGrpc(under.grpcPort, {
      pieces: [frame(body, true)],
      headers: { 'grpc-encoding': encoding },
    });
    expect(reply.status).toBe(0);
    expect(last()?.body).toMatchObject({ compression: encoding, received: body, message: text });
  });

  test('a plain message under grpc-encoding is legal', async () => {
    await callGrpc(under.grpcPort, {
      pieces: [frame(text)],
      headers: { 'grpc-encoding': 'gzip' },
    });
    expect(last()?.body).toMatchObject({ compression: 'identity', message: text });
  });

  test.for([
    ['flagged as compressed without an encoding', [frame(gzipSync(text), true)], {}],
    [
      'flagged as compressed under identity',
      [frame(gzipSync(text), true)],
      { 'grpc-encoding': 'identity' },
    ],
    ['not compressed as it says', [frame(text, true)], { 'grpc-encoding': 'gzip' }],
    ['followed by a second', [frame(text), frame(text)], {}],
    ['followed by a byte', [Buffer.concat([frame(text), Buffer.from('x')])], {}],
    ['cut off', [frame(text).subarray(0, 100)], {}],
    ['cut off in its prefix', [frame(text).subarray(0, 3)], {}],
    ['missing', [], {}],
    ['missing, and ended by a frame of its own', [Buffer.alloc(0)], {}],
    ['no gRPC message', [Buffer.from('hello world')], {}],
  ] as [string, Buffer[], Record<string, string>][])(
    'a message that is %s is INVALID_ARGUMENT',
    async ([, pieces, headers]) => {
      const reply = await callGrpc(under.grpcPort, { pieces, headers });
      expect([reply.http, reply.status]).toEqual([200, 3]);
      expect(under.received.length).toBe(0);
    },
  );

  test('another grpc-encoding is UNIMPLEMENTED and names the accepted ones', async () => {
    const reply = await callGrpc(under.grpcPort, {
      pieces: [frame(text, true)],
      headers: { 'grpc-encoding': 'snappy' },
    });
    expect(reply.status).toBe(12);
    expect(reply.trailers['grpc-accept-encoding']).toBe('gzip,deflate,zstd,identity');
  });

  test('one that is declared too long is refused before it is sent', async () => {
    const prefix = frame(Buffer.alloc(0));
    prefix.writeUInt32BE(64 * mebibyte + 1, 1);
    const reply = await callGrpc(under.grpcPort, { pieces: [prefix], open: true });
    expect([reply.status, reply.rstCode]).toEqual([8, 0]);
    expect(reply.trailers['grpc-status-details-bin']).toBeUndefined();
    expect(reply.message).toContain('payload too large');
  });
});

describe('refusals', () => {
  test('an unknown key is refused while the message is still on its way', async () => {
    const reply = await callGrpc(under.grpcPort, {
      pieces: [frame(Buffer.alloc(1000)).subarray(0, 100)],
      headers: { 'x-api-key': 'bad' },
      open: true,
    });
    expect([reply.http, reply.status, reply.rstCode]).toEqual([200, 16, 0]);
    expect(under.budget.usedBytes).toBe(0);
  });

  test('grpc-js sees that its key is unknown, whatever it has sent by then', async () => {
    for (const bytes of [0, 10, 100_000, 5 * mebibyte]) {
      const call = callByGrpcJs(under.grpcPort, Buffer.alloc(bytes), 'bad');
      await expect(call).rejects.toMatchObject({ code: 16 });
    }
  });

  const kinds = Object.keys(errorTable) as ErrorKind[];
  test.for(kinds)('%s is trailers-only with its status', async (kind) => {
    const row: { grpc: number; retryAfterMs?: number } = errorTable[kind];
    settle = async () => {
      throw new GatewayError(kind, 'mend it – 100 %\nnow');
    };
    const reply = await callGrpc(under.grpcPort);
    expect([reply.http, reply.status, reply.body.length]).toEqual([200, row.grpc, 0]);
    expect(reply.message).toMatch(/^mend it – 100 %\nnow \[[A-Z_]+\]$/);
    expect(reply.headers['content-type']).toBe('application/grpc');
    const details = reply.trailers['grpc-status-details-bin'];
    const retryInfo = reply.trailers['google.rpc.retryinfo-bin'];
    if (row.retryAfterMs === undefined) {
      expect([details, retryInfo]).toEqual([undefined, undefined]);
      return;
    }
    const seconds = Math.floor(row.retryAfterMs / 1000);
    // RetryInfo{retry_delay: Duration{seconds}}
    const info = Buffer.from([0x0a, 0x02, 0x08, seconds]);
    expect(Buffer.from(String(retryInfo), 'base64')).toEqual(info);
    const status = Buffer.from(String(details), 'base64');
    expect(protobuf.Reader.create(status).uint32()).toBe(8);
    expect(status.includes('type.googleapis.com/google.rpc.RetryInfo')).toBe(true);
    expect(status.subarray(-4)).toEqual(info);
  });

  test('grpc-js sees code, text and retry info', async () => {
    settle = async () => {
      throw new GatewayError('queue_full', 'wait – a bit');
    };
    const fault: ServiceError = await callByGrpcJs(under.grpcPort, message).then(
      () => expect.unreachable(),
      (thrown) => thrown,
    );
    expect([fault.code, fault.details]).toEqual([14, 'wait – a bit [UNAVAILABLE]']);
    expect(fault.metadata.get('google.rpc.retryinfo-bin')).toEqual([
      Buffer.from('0a020802', 'hex'),
    ]);
  });

  test.for(['logs.v1.LogsService', 'metrics.v1.MetricsService'])(
    '%s is UNIMPLEMENTED and names the cure',
    async (service) => {
      const path = `/opentelemetry.proto.collector.${service}/Export`;
      const reply = await callGrpc(under.grpcPort, { path });
      expect(reply.status).toBe(12);
      expect(reply.message).toMatch(/OTEL_(LOGS|METRICS)_EXPORTER=none/);
    },
  );

  test.for(['application/grpc+json', 'application/grpc-web+proto', 'application/GRPC-web; a=b'])(
    '%s is told in gRPC that it is not spoken here',
    async (type) => {
      const reply = await callGrpc(under.grpcPort, { headers: { 'content-type': type } });
      expect([reply.http, reply.status]).toEqual([200, 3]);
      expect(reply.message).toMatch(/^set content-type to application\/grpc/);
    },
  );

  test('an unknown service is UNIMPLEMENTED', async () => {
    expect((await callGrpc(under.grpcPort, { path: '/a.B/C' })).status).toBe(12);
  });

  test('grpc-timeout is honoured', async () => {
    const { opened, open } = gate();
    settle = async () => {
      await opened;
      return fullSuccess;
    };
    const reply = await callGrpc(under.grpcPort, { headers: { 'grpc-timeout': '50m' } });
    expect(reply.status).toBe(4);
    open();
  });

  test('a call that is given up mid-message leaves nothing', async () => {
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': exportPath,
      'content-type': 'application/grpc',
      'x-api-key': goodKey,
    });
    stream.on('error', () => {});
    stream.write(frame(Buffer.alloc(100_000)).subarray(0, 50_000));
    await until(() => under.budget.usedBytes === 100_000);
    stream.close(8);
    await until(() => under.budget.usedBytes === 0);
    const next = session.request({
      ':method': 'POST',
      ':path': exportPath,
      'content-type': 'application/grpc',
      'x-api-key': goodKey,
    });
    next.write(frame(Buffer.alloc(100_000)).subarray(0, 50_000));
    await until(() => under.budget.usedBytes === 100_000);
    session.destroy();
    await until(() => under.budget.usedBytes === 0);
    expect(under.received.length).toBe(0);
  });
});
