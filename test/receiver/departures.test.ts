/** Clients that go away: whatever they leave unfinished is neither ingested nor kept. */
import { connect as connectHttp2 } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import {
  callGrpc,
  exportPath,
  frame,
  head,
  http2Reset,
  http2Upload,
  openRaw,
  sendHttp,
} from './clients.ts';
import {
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

describe('clients that go away', () => {
  test.for(['Content-Length: 1000', 'Transfer-Encoding: chunked'])(
    'in the middle of a body (%s) are not ingested and leave nothing',
    async (framing) => {
      const { httpPort, received, refusals } = await start();
      for (const leave of ['destroy', 'end', 'resetAndDestroy'] as const) {
        const raw = await openRaw(httpPort);
        raw.socket.write(head([framing]));
        raw.socket.write(framing.startsWith('C') ? Buffer.alloc(500) : '5\r\nhello\r\n');
        await until(() => under.budget.usedBytes > 0);
        raw.socket[leave]();
        await raw.closed;
        await until(() => under.budget.usedBytes === 0);
      }
      expect(received).toEqual([]);
      expect(refusals.map(({ kind }) => kind)).toEqual(['malformed']);
    },
  );

  test('while their request is under way do not disturb it', async () => {
    const { settle, reached, open } = holding();
    const { httpPort, metrics, refusals } = await start({
      settle,
    });
    const raw = await openRaw(httpPort);
    raw.socket.write(head(['Content-Length: 5']));
    raw.socket.write('hello');
    await reached;
    raw.socket.resetAndDestroy();
    await raw.closed;
    // A round trip later the receiver has seen the reset, too.
    await sendHttp(httpPort, { method: 'GET', path: '/health' });
    open();
    await until(() => under.budget.usedBytes === 0);
    expect(await metrics()).toMatch(/outcome="ok"\} 1/);
    expect(refusals).toEqual([]);
  });

  test('while a large body is being thrown away behind a refusal', async () => {
    const { httpPort } = await start();
    const raw = await openRaw(httpPort);
    raw.socket.write(head([`Content-Length: ${10 * mebibyte}`]).replace(goodKey, 'bad'));
    raw.socket.write(Buffer.alloc(mebibyte));
    await raw.until(/^HTTP\/1.1 401/);
    raw.socket.resetAndDestroy();
    await raw.closed;
    expect((await sendHttp(httpPort)).status).toBe(200);
  });

  test('in the middle of an upload over HTTP/2, which is not taken for its end', async () => {
    const { httpPort, received, refusals } = await start();
    const uploads = [
      ['/v1/traces', 'application/x-protobuf'],
      [exportPath, 'application/grpc'],
    ] as const;
    for (const [path, contentType] of uploads) {
      const upload = {
        ':method': 'POST',
        ':scheme': 'http',
        ':authority': 'gateway',
        ':path': path,
        'content-type': contentType,
        'x-api-key': goodKey,
      };
      const raw = await openRaw(httpPort);
      // A whole message, but it does not end there.
      raw.socket.write(http2Upload(upload, frame(Buffer.alloc(100))));
      await until(() => under.budget.usedBytes > 0);
      raw.socket.write(http2Reset(8));
      await until(() => under.budget.usedBytes === 0);
      raw.socket.destroy();
    }
    expect(refusals.map(({ protocol }) => protocol)).toEqual(['http']);
    expect(received).toEqual([]);
  });

  const declared = {
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'gateway',
    ':path': '/v1/traces',
    'content-type': 'application/x-protobuf',
    'content-length': '1000',
    'x-api-key': goodKey,
  };

  test('in the same breath as they came, over HTTP/2', async () => {
    const { httpPort, received } = await start({
      requestDeadlineMs: 60_000,
      beforeKey: () => new Promise((resolve) => setImmediate(resolve)),
    });
    const raw = await openRaw(httpPort);
    const upload = http2Upload(declared, Buffer.alloc(0));
    raw.socket.write(Buffer.concat([upload, http2Reset(8)]));
    await sendHttp(httpPort);
    raw.socket.end();
    await raw.closed;
    await sendHttp(httpPort);
    expect(under.budget.usedBytes).toBe(0);
    received.splice(0, 2);
    expect(received).toEqual([]);
  });

  test('while their key is looked up, over HTTP/2', async () => {
    const { opened, open } = gate();
    let reached = () => {};
    const first = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const { httpPort, refusals, received } = await start({
      requestDeadlineMs: 60_000,
      beforeKey: () => {
        reached();
        return opened;
      },
    });
    const raw = await openRaw(httpPort);
    raw.socket.write(http2Upload(declared, Buffer.alloc(10)));
    await first;
    raw.socket.end(http2Reset(8));
    await raw.closed;
    open();
    await until(() => refusals.length > 0);
    expect(under.budget.usedBytes).toBe(0);
    expect(received).toEqual([]);
  });

  test('with a fault on an HTTP/2 stream, refused or not', async () => {
    const { grpcPort } = await start();
    const session = connectHttp2(`http://127.0.0.1:${grpcPort}`);
    for (const [type, key] of [
      ['application/grpc', 'bad'],
      ['application/x-protobuf', 'bad'],
      ['application/x-protobuf', goodKey],
      ['text/plain', goodKey],
    ]) {
      const stream = session.request({
        ':method': 'POST',
        ':path': type === 'application/grpc' ? exportPath : '/v1/traces',
        'content-type': type,
        'x-api-key': key,
      });
      stream.on('error', () => {});
      stream.write(Buffer.alloc(100));
      stream.close(2);
      await new Promise((resolve) => stream.on('close', resolve));
    }
    expect((await callGrpc(grpcPort)).status).toBe(0);
    session.destroy();
  });
});
