/**
 * Nobody can make the gateway use more than its limits, by size, by compression, by slowness or by
 * number; and meanwhile a good client is served. The bound on memory that is asserted: 512 MiB,
 * which is `in_flight_mib` (256, the default) and as much again for the process itself.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { constants, createZstdCompress, deflateRawSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createWorkspace,
  forgetPeak,
  type GatewayProcess,
  residentMib,
  type Workspace,
} from '../harness/gateway-process.ts';
import { framed, type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { http, openHttp } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { expectGrpcRefusal, expectHttpRefusal } from '../harness/refusals.ts';
import { registryOf } from '../harness/registry.ts';
import { type Sink, startSink } from '../harness/sink.ts';

const agent = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const mebibyte = 1024 * 1024;
const limitBytes = 64 * mebibyte;
const residentMibMax = 512;
const proto = 'application/x-protobuf';
const tooLarge = { http: 413, grpc: 8, code: 'PAYLOAD_TOO_LARGE' };

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
let grpc: GrpcClient;
let key: string;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agent, name: 'Support bot' });
  key = (await registry.key('Support', { name: 'one', agents: [agent] })).key;
  gateway = await workspace.start(
    'limits.request_deadline=3s',
    'receivers.otlp.protocols.http.read_header_timeout=1s',
  );
  grpc = grpcClient(gateway.ports.grpc);
});

afterAll(async () => {
  grpc?.close();
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => forgetPeak(gateway));

afterEach(async () => {
  await expectServed();
  expect(residentMib(gateway).peak).toBeLessThan(residentMibMax);
});

/** A good client gets through on every listener. */
async function expectServed(): Promise<void> {
  const body = makeExport({});
  const headers = ['Content-Type', proto, 'x-api-key', key];
  const answer = await http({ port: gateway.ports.http, headers, body: body.proto });
  expect(answer.status, answer.reason).toBe(200);
  const own = grpcClient(gateway.ports.grpc);
  const overGrpc = await own.call({ headers: ['x-api-key', key], body: framed(body.proto) });
  own.close();
  expect(overGrpc.status, overGrpc.message).toBe(0);
}

const head = (...more: string[]) => ['Content-Type', proto, 'x-api-key', key, ...more];

/** An export of exactly this size. */
function exportOfSize(bytes: number): Buffer {
  const padding = bytes - (makeExport({ paddingBytes: bytes }).proto.length - bytes);
  const { proto: message } = makeExport({ paddingBytes: padding });
  expect(message.length).toBe(bytes);
  return message;
}

describe('size', () => {
  test('64 MiB is taken, over HTTP and gRPC', async () => {
    const body = exportOfSize(limitBytes);
    const answer = await http({ port: gateway.ports.http, headers: head(), body });
    expect(answer.status, answer.reason).toBe(200);
    const overGrpc = await grpc.call({ headers: ['x-api-key', key], body: framed(body) });
    expect(overGrpc.status, overGrpc.message).toBe(0);
    sink.received.length = 0;
  });

  test('one byte more, declared: refused before it is sent', async () => {
    const { answer, upload } = openHttp({
      port: gateway.ports.http,
      headers: head('Content-Length', String(limitBytes + 1)),
    });
    upload.flushHeaders();
    expectHttpRefusal(await answer, { encoding: proto, refusal: tooLarge });
    upload.destroy();
    const prefix = framed(Buffer.alloc(0));
    prefix.writeUInt32BE(limitBytes + 1, 1);
    const { answer: overGrpc, stream } = grpc.open({ headers: ['x-api-key', key] });
    stream.write(prefix);
    expectGrpcRefusal(await overGrpc, tooLarge);
    stream.destroy();
  });

  test('one byte more, in chunks: refused when it is reached', async () => {
    const { answer, upload } = openHttp({
      port: gateway.ports.http,
      headers: head('Transfer-Encoding', 'chunked'),
    });
    const chunk = Buffer.alloc(mebibyte);
    for (let sent = 0; sent < limitBytes; sent += mebibyte) upload.write(chunk);
    upload.write('x');
    expectHttpRefusal(await answer, { encoding: proto, refusal: tooLarge });
    upload.destroy();
  });

  test('a head that never ends is cut off', async () => {
    const answer = await raw(gateway.ports.http, (socket) => {
      socket.write('POST /v1/traces HTTP/1.1\r\nHost: a\r\n');
      const line = `x-padding: ${'x'.repeat(8000)}\r\n`;
      const more = () => {
        while (!socket.destroyed && socket.write(line));
      };
      socket.on('drain', more);
      more();
    });
    expect(answer).toMatch(/^HTTP\/1\.1 (431|400)|^$/);
  });
});

/** 1 GiB of zeros as deflate: full flushes make each block stand alone, so it is one repeated. */
function deflateBomb(): Buffer {
  const zeros = Buffer.alloc(mebibyte);
  const block = deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH });
  return Buffer.concat([...Array.from({ length: 1024 }, () => block), deflateRawSync('')]);
}

/** One frame, so that its window is what the sender says. */
function zstdBomb(): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const compress = createZstdCompress({ params: { [constants.ZSTD_c_windowLog]: 27 } });
    const chunks: Buffer[] = [];
    compress.on('data', (chunk: Buffer) => chunks.push(chunk));
    compress.on('end', () => resolve(Buffer.concat(chunks)));
    compress.on('error', reject);
    const zeros = Buffer.alloc(mebibyte);
    let left = 1024;
    const more = () => {
      while (left > 0) {
        left -= 1;
        if (!compress.write(zeros)) return;
      }
      compress.end();
    };
    compress.on('drain', more);
    more();
  });
}

describe('compression', () => {
  const raw = deflateBomb();
  // Ends matter to nobody who stops at the limit.
  const bombs: [string, Promise<Buffer>][] = [
    ['gzip', Promise.resolve(Buffer.concat([Buffer.from('1f8b0800000000000003', 'hex'), raw]))],
    ['deflate', Promise.resolve(Buffer.concat([Buffer.from('789c', 'hex'), raw]))],
    ['zstd', zstdBomb()],
  ];

  test.for(bombs)('a bomb of 1 GiB in %s dies at the limit', async ([encoding, made]) => {
    const bomb = await made;
    expect(bomb.length).toBeLessThan(2 * mebibyte);
    const answer = await http({
      port: gateway.ports.http,
      headers: head('Content-Encoding', encoding),
      body: bomb,
    });
    expectHttpRefusal(answer, { encoding: proto, refusal: tooLarge });
    const headers = ['x-api-key', key, 'grpc-encoding', encoding];
    const overGrpc = await grpc.call({ headers, body: framed(bomb, true) });
    // gRPC's own encodings are gzip and deflate; zstd may be unknown there.
    if (encoding === 'zstd' && overGrpc.status === 12) return;
    expectGrpcRefusal(overGrpc, tooLarge);
  });

  test('twenty bombs at once stay within the memory', async () => {
    const [, made] = bombs[0] as [string, Promise<Buffer>];
    const bomb = await made;
    // Twice: what the first twenty took has to be free again for the second.
    for (let round = 0; round < 2; round += 1) {
      const all = Array.from({ length: 20 }, () =>
        http({ port: gateway.ports.http, headers: head('Content-Encoding', 'gzip'), body: bomb }),
      );
      await expectServed();
      for (const answer of await Promise.all(all)) {
        expect([413, 503, 504]).toContain(answer.status);
      }
    }
  });
});

describe('slowness', () => {
  test('bodies at one byte a second: answered in time, and others are served', async () => {
    const trickles = Array.from({ length: 40 }, () => {
      const { answer, upload } = openHttp({
        port: gateway.ports.http,
        headers: head('Content-Length', '100000'),
      });
      upload.flushHeaders();
      return { answer, feed: () => upload.write('x'), end: () => upload.destroy() };
    });
    const streams = Array.from({ length: 40 }, () => {
      const { answer, stream } = grpc.open({ headers: ['x-api-key', key] });
      return { answer, feed: () => stream.write('x'), end: () => stream.destroy() };
    });
    const feeding = setInterval(() => {
      for (const { feed } of [...trickles, ...streams]) feed();
    }, 1000);
    await expectServed();
    for (const { answer } of trickles) expect((await answer).status).toBe(504);
    for (const { answer } of streams) expect((await answer).status).toBe(4);
    clearInterval(feeding);
    for (const { end } of [...trickles, ...streams]) end();
  });

  test('heads at one byte a second: the connection is closed, and others are served', async () => {
    const closed = Array.from({ length: 40 }, () =>
      raw(gateway.ports.http, (socket) => {
        socket.write('POST /v1/traces HTTP/1.1\r\nx-slow: ');
        const feeding = setInterval(() => socket.write('x'), 1000);
        socket.on('close', () => clearInterval(feeding));
      }),
    );
    await expectServed();
    const startedAt = performance.now();
    for (const answer of await Promise.all(closed)) expect(answer).toMatch(/^HTTP\/1\.1 504 |^$/);
    // read_header_timeout is 1 s here.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });
});

describe('number', () => {
  /** As many as the machine lets one process open, up to 10,000. */
  const openFilesMax = Number(/Max open files\s+\d+\s+(\d+)/.exec(readLimits())?.[1] ?? 4096);
  const connections = Math.min(10_000, openFilesMax - 500);

  test('10,000 connections with a wrong key', async () => {
    const request =
      'POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\n' +
      'x-api-key: mibo_test0000000000000000000000000000unknown\r\nContent-Length: 0\r\n\r\n';
    const sockets: Socket[] = [];
    let refused = 0;
    // They all stay open until the end; 200 at a time are being opened.
    for (let at = 0; at < connections; at += 200) {
      const wave = Array.from({ length: Math.min(200, connections - at) }, async () => {
        const socket = connect(gateway.ports.http, '127.0.0.1');
        sockets.push(socket);
        socket.write(request);
        const line = await firstBytes(socket);
        if (/^HTTP\/1\.1 401 /.test(line)) refused += 1;
      });
      await Promise.all(wave);
    }
    expect(refused).toBe(connections);
    await expectServed();
    for (const socket of sockets) socket.destroy();
  });

  test('200 uploads with a wrong key are not read: 16 MiB each would be 3 GiB', async () => {
    const before = residentMib(gateway).now;
    const body = framed(Buffer.alloc(16 * mebibyte));
    const own = Array.from({ length: 10 }, () => grpcClient(gateway.ports.grpc));
    const headers = ['x-api-key', 'mibo_test0000000000000000000000000000unknown'];
    const all = own.flatMap((client) =>
      Array.from({ length: 20 }, () => client.call({ headers, body })),
    );
    for (const answer of await Promise.all(all)) expect(answer.status).toBe(16);
    expect(residentMib(gateway).now - before).toBeLessThan(200);
    for (const client of own) client.close();
  });
});

function readLimits(): string {
  return process.platform === 'linux' ? readFileSync('/proc/self/limits', 'utf8') : '';
}

function firstBytes(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('data', (chunk) => resolve(chunk.toString('latin1')));
    socket.once('error', reject);
    socket.once('close', () => resolve(''));
  });
}

/** All that comes back until the gateway closes the connection. */
function raw(port: number, write: (socket: Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => write(socket));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    // A reset is an answer too: the gateway hung up.
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}
