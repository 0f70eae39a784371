import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { callGrpc, exportPath, frame, head, openRaw, sendHttp } from './clients.ts';
import {
  fullSuccess,
  gate,
  goodKey,
  holding,
  mebibyte,
  type Setup,
  startReceiver,
  type UnderTest,
  until,
} from './receiver-under-test.ts';

let under: UnderTest;

async function start(setup: Setup = {}): Promise<UnderTest> {
  under = await startReceiver(setup);
  return under;
}

afterEach(async () => {
  await until(() => under.budget.usedBytes === 0);
  await under.stop();
});

/** 1 GiB of zeros: members one after another, but deflate has none, so that is one stream. */
const bombs: Readonly<Record<string, () => Buffer>> = {
  gzip: () => Buffer.concat(Array(64).fill(gzipSync(Buffer.alloc(16 * mebibyte)))),
  zstd: () => Buffer.concat(Array(64).fill(zstdCompressSync(Buffer.alloc(16 * mebibyte)))),
  deflate: () => deflateSync(Buffer.alloc(1024 * mebibyte), { level: 1 }),
};

describe('size', () => {
  test('64 MiB pass, one byte more does not: declared, chunked, and over gRPC', async () => {
    const { httpPort, grpcPort, received } = await start();
    const most = Buffer.alloc(64 * mebibyte);
    expect((await sendHttp(httpPort, { body: most })).status).toBe(200);
    expect((await sendHttp(httpPort, { chunks: [most] })).status).toBe(200);
    expect((await callGrpc(grpcPort, { pieces: [frame(most)] })).status).toBe(0);
    const more = Buffer.alloc(64 * mebibyte + 1);
    const declared = await sendHttp(httpPort, { body: more });
    const chunked = await sendHttp(httpPort, { chunks: [more] });
    expect([declared.status, chunked.status]).toEqual([413, 413]);
    expect((await callGrpc(grpcPort, { pieces: [frame(more)] })).status).toBe(8);
    expect(received.map(({ body }) => body.message.length)).toEqual(Array(3).fill(most.length));
  });

  test('a client that only looks when it has sent everything still sees its 401', async () => {
    const { httpPort, received } = await start();
    const raw = await openRaw(httpPort);
    const body = Buffer.alloc(32 * mebibyte);
    raw.socket.write(head([`Content-Length: ${body.length}`]).replace(goodKey, 'bad'));
    raw.socket.pause();
    await new Promise((resolve) => raw.socket.write(body, resolve));
    raw.socket.resume();
    expect(await raw.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 401 .*Connection: close/s);
    await raw.closed;
    expect(received).toEqual([]);
  });

  test('nothing is reserved for a client whose key is refused', async () => {
    let most = 0;
    const { httpPort } = await start({
      beforeKey: async () => {
        most = Math.max(most, under.budget.usedBytes);
      },
    });
    const headers = { 'x-api-key': 'bad' };
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => sendHttp(httpPort, { headers, body: Buffer.alloc(50_000) })),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array(10).fill(401));
    expect(most).toBe(0);
  });

  test('a body that can never fit into memory is told so, not sent round in circles', async () => {
    const { httpPort } = await start({ bytesMax: mebibyte });
    const reply = await sendHttp(httpPort, { body: Buffer.alloc(2 * mebibyte) });
    expect(reply.status).toBe(413);
  });
});

describe('bombs', () => {
  test.for(['gzip', 'deflate', 'zstd'])('1 GiB of %s dies at the limit', async (encoding) => {
    const { httpPort, grpcPort } = await start();
    const body = bombs[encoding]?.() ?? Buffer.alloc(0);
    let most = 0;
    let turns = 0;
    const watch = setInterval(() => {
      most = Math.max(most, under.budget.usedBytes);
      turns += 1;
    }, 1);
    const http = await sendHttp(httpPort, { body, headers: { 'content-encoding': encoding } });
    const grpc = await callGrpc(grpcPort, {
      pieces: [frame(body, true)],
      headers: { 'grpc-encoding': encoding },
    });
    clearInterval(watch);
    expect([http.status, grpc.status]).toEqual([413, 8]);
    expect(http.reason).toContain('payload too large');
    // A few MiB inflated at once and the received bytes; not the 64 MiB up to the limit.
    expect(most).toBeLessThan(16 * mebibyte);
    // The loop went on turning meanwhile, so others were served.
    expect(turns).toBeGreaterThan(10);
  });

  test('many at once are all told so, and a good request is served meanwhile', async () => {
    const { httpPort } = await start();
    const headers = { 'content-encoding': 'gzip' };
    const body = gzipSync(Buffer.alloc(128 * mebibyte));
    const replies = Array.from({ length: 20 }, () => sendHttp(httpPort, { body, headers }));
    expect((await sendHttp(httpPort)).status).toBe(200);
    const statuses = (await Promise.all(replies)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([413]));
  });

  test('a size that gzip claims wrongly changes nothing', async () => {
    const { httpPort, received } = await start();
    const honest = gzipSync(Buffer.alloc(8 * mebibyte));
    const lying = Buffer.from(honest);
    lying.writeUInt32LE(12, lying.length - 4);
    const headers = { 'content-encoding': 'gzip' };
    expect((await sendHttp(httpPort, { body: honest, headers })).status).toBe(200);
    expect(received[0]?.body.message.length).toBe(8 * mebibyte);
    expect((await sendHttp(httpPort, { body: lying, headers })).status).toBe(400);
    lying.writeUInt32LE(0xffff_fff0, lying.length - 4);
    expect((await sendHttp(httpPort, { body: lying, headers })).status).toBe(400);
  });
});

describe('time', () => {
  test('a body that trickles is answered at the deadline, with its key in the log', async () => {
    const { httpPort, refusals, received } = await start({ requestDeadlineMs: 100 });
    const raw = await openRaw(httpPort);
    raw.socket.write(head(['Content-Length: 1000']));
    raw.socket.write('a');
    const text = await raw.until(/\r\n\r\n/);
    expect(text).toMatch(/^HTTP\/1.1 504 /);
    expect(refusals).toMatchObject([{ kind: 'deadline_exceeded', key_id: 'key_1' }]);
    raw.socket.destroy();
    expect(received).toEqual([]);
  });

  test('a message that trickles is DEADLINE_EXCEEDED', async () => {
    const { grpcPort } = await start({ requestDeadlineMs: 100 });
    const pieces = [frame(Buffer.alloc(1000)).subarray(0, 20)];
    const reply = await callGrpc(grpcPort, { pieces, open: true });
    expect([reply.status, reply.rstCode]).toEqual([4, 0]);
  });

  test('a journey that takes too long is answered, and its late result is dropped', async () => {
    const { opened, open } = gate();
    const { httpPort, metrics } = await start({
      requestDeadlineMs: 50,
      settle: async () => {
        await opened;
        return fullSuccess;
      },
    });
    expect((await sendHttp(httpPort, { body: Buffer.alloc(100) })).status).toBe(504);
    expect(under.budget.usedBytes).toBe(100);
    open();
    await until(() => under.budget.usedBytes === 0);
    expect(await metrics()).not.toMatch(/outcome="ok"/);
  });

  test('a key check that takes too long is answered before the body is read', async () => {
    const { opened, open } = gate();
    const { httpPort, received } = await start({ requestDeadlineMs: 50, beforeKey: () => opened });
    expect((await sendHttp(httpPort, { body: Buffer.alloc(100) })).status).toBe(504);
    open();
    await under.stop();
    expect(received).toEqual([]);
  });

  test('a body that outlasts the time for reading is answered', async () => {
    const { httpPort } = await start({ http: { readHeaderTimeoutMs: 100, readTimeoutMs: 100 } });
    const raw = await openRaw(httpPort);
    raw.socket.write(head(['Content-Length: 1000']));
    raw.socket.write('a');
    expect(await raw.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 504 .*Connection: close/s);
    await raw.closed;
  });

  test('a head that trickles, and a connection that says nothing, are closed', async () => {
    const { httpPort } = await start({ http: { readHeaderTimeoutMs: 100 } });
    const slow = await openRaw(httpPort);
    slow.socket.write('POST /v1/traces HTTP/1.1\r\nHost: a\r\n');
    const silent = await openRaw(httpPort);
    await Promise.all([slow.closed, silent.closed]);
    expect(slow.text()).toMatch(/^HTTP\/1.1 504 /);
  });
});

describe('room', () => {
  test('what is only declared holds 1 MiB, and the rest comes as bytes arrive', async () => {
    const { httpPort, grpcPort, received } = await start();
    const body = Buffer.alloc(40 * mebibyte, 7);
    const raw = await openRaw(httpPort);
    raw.socket.write(head([`Content-Length: ${body.length}`]));
    await until(() => under.budget.usedBytes > 0);
    expect(under.budget.usedBytes).toBe(mebibyte);
    raw.socket.write(body.subarray(0, mebibyte + 1));
    await until(() => under.budget.usedBytes > mebibyte);
    expect(under.budget.usedBytes).toBe(4 * mebibyte);
    raw.socket.write(body.subarray(mebibyte + 1));
    await raw.until(/200 OK/);
    raw.socket.destroy();

    const session = connectHttp2(`http://127.0.0.1:${grpcPort}`);
    const call = session.request({
      ':method': 'POST',
      ':path': exportPath,
      'content-type': 'application/grpc',
      'x-api-key': goodKey,
    });
    call.resume();
    call.write(frame(body).subarray(0, 5));
    await until(() => under.budget.usedBytes > 0);
    expect(under.budget.usedBytes).toBe(mebibyte);
    call.end(body);
    const [trailers] = await once(call, 'trailers');
    expect(trailers['grpc-status']).toBe('0');
    session.destroy();
    expect(received.map((entry) => entry.body.message.equals(body))).toEqual([true, true]);
  });

  test('a health check, which needs no key, is no way to hold any', async () => {
    const { grpcPort } = await start();
    const path = '/grpc.health.v1.Health/Check';
    const most = frame(Buffer.alloc(0));
    most.writeUInt32BE(4097, 1);
    const reply = await callGrpc(grpcPort, { path, pieces: [most], open: true });
    expect([reply.status, reply.message]).toEqual([8, expect.stringContaining('4096 B')]);
  });

  test('a request waits for room, and gets it when another ends', async () => {
    const { settle, reached, open } = holding();
    const { httpPort, received } = await start({
      bytesMax: 1000,
      admissionWaitMs: 60_000,
      settle,
    });
    const replies = [sendHttp(httpPort, { body: Buffer.alloc(800) })];
    await reached;
    replies.push(sendHttp(httpPort, { body: Buffer.alloc(800) }));
    replies.push(sendHttp(httpPort, { chunks: [Buffer.alloc(800)] }));
    replies.push(sendHttp(httpPort, { body: Buffer.alloc(10) }));
    open();
    expect((await Promise.all(replies)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(received.length).toBe(4);
  });

  test('a request that waits in vain is overloaded, over both protocols', async () => {
    const { settle, reached, open } = holding();
    const { httpPort, grpcPort } = await start({
      bytesMax: 1000,
      admissionWaitMs: 50,
      settle,
    });
    const held = sendHttp(httpPort, { body: Buffer.alloc(800) });
    await reached;
    const http = await sendHttp(httpPort, { body: Buffer.alloc(800) });
    const chunked = await sendHttp(httpPort, { chunks: [Buffer.alloc(800)] });
    const grpc = await callGrpc(grpcPort, { pieces: [frame(Buffer.alloc(800))] });
    expect([http.status, chunked.status, grpc.status]).toEqual([503, 503, 14]);
    expect(http.headers['retry-after']).toBe('1');
    open();
    expect((await held).status).toBe(200);
  });

  test('a client that goes away while it waits gets nothing and leaves nothing', async () => {
    const { settle, reached, open } = holding();
    const { httpPort, received } = await start({
      bytesMax: 1000,
      admissionWaitMs: 60_000,
      settle,
    });
    const held = sendHttp(httpPort, { body: Buffer.alloc(800) });
    await reached;
    const raw = await openRaw(httpPort);
    raw.socket.write(head(['Content-Length: 800']));
    raw.socket.write(Buffer.alloc(800));
    raw.socket.destroy();
    open();
    await held;
    await until(() => under.budget.usedBytes === 0);
    expect(received.length).toBeLessThanOrEqual(2);
  });
});
