/** What a connection sees beside its answers: HTTP/1.1's ways, and both protocols on each port. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { head, openRaw, sendHttp } from './clients.ts';
import { gate, goodKey, startReceiver, type UnderTest } from './receiver-under-test.ts';

let under: UnderTest;

beforeAll(async () => {
  under = await startReceiver();
});
beforeEach(() => {
  under.received.length = 0;
});
afterAll(async () => {
  expect(under.budget.usedBytes).toBe(0);
  await under.stop();
});

const message = Buffer.from('0a02080112', 'hex');
const last = () => under.received.at(-1);

describe('HTTP/1.1', () => {
  test('100 Continue is said only when the body is wanted', async () => {
    const wanted = await openRaw(under.httpPort);
    wanted.socket.write(head(['Content-Length: 5', 'Expect: 100-continue']));
    await wanted.until(/^HTTP\/1.1 100 Continue\r\n\r\n/);
    wanted.socket.write(message);
    await wanted.until(/HTTP\/1.1 200 OK/);
    wanted.socket.destroy();

    const refused = await openRaw(under.httpPort);
    refused.socket.write(
      head(['Content-Length: 5', 'Expect: 100-continue']).replace(goodKey, 'bad'),
    );
    const text = await refused.until(/\r\n\r\n/);
    expect(text).toMatch(/^HTTP\/1.1 401 /);
    expect(text).toMatch(/Connection: close/);
    refused.socket.end();
    await refused.closed;
  });

  test('Upgrade: h2c is ignored', async () => {
    const raw = await openRaw(under.httpPort);
    const upgrade = [
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA',
    ];
    raw.socket.write(head([...upgrade, 'Content-Length: 5']));
    raw.socket.write(message);
    await raw.until(/^HTTP\/1.1 200 OK/);
    expect(last()?.body.message).toEqual(message);
    raw.socket.destroy();
  });

  test('a connection is kept, also behind a small body that was refused unread', async () => {
    const raw = await openRaw(under.httpPort);
    raw.socket.write(head(['Content-Length: 5']).replace(goodKey, 'bad'));
    raw.socket.write(message);
    await raw.until(/HTTP\/1.1 401 /);
    raw.socket.write(head(['Content-Length: 5']));
    raw.socket.write(message);
    await raw.until(/HTTP\/1.1 200 /);
    raw.socket.destroy();
  });

  test('pipelined requests are answered in order', async () => {
    const raw = await openRaw(under.httpPort);
    const good = head(['Content-Length: 5']) + message.toString('latin1');
    raw.socket.write(good + good.replace(goodKey, 'bad') + good, 'latin1');
    await raw.until(/200 OK.*401 .*200 OK/s);
    raw.socket.destroy();
  });

  test('what is not HTTP gets a 400, a body with broken framing too', async () => {
    const malformed = async () =>
      Number(/outcome="malformed"\} (\d+)/.exec(await under.metrics())?.[1] ?? 0);
    const before = await malformed();
    const nonsense = await openRaw(under.httpPort);
    nonsense.socket.write('hello there\r\n\r\n');
    await nonsense.until(/^HTTP\/1.1 400 /);
    await nonsense.closed;
    const broken = await openRaw(under.httpPort);
    broken.socket.write(`${head(['Transfer-Encoding: chunked'])}zz\r\n`);
    const text = await broken.until(/^HTTP\/1.1 400 /);
    expect(text).toMatch(/Connection: close/);
    broken.socket.destroy();
    expect((await malformed()) - before).toBe(2);
  });

  test('a good request is answered whatever follows it', async () => {
    const raw = await openRaw(under.httpPort);
    raw.socket.write(head(['Content-Length: 5']) + message.toString('latin1'), 'latin1');
    raw.socket.write('garbage\r\n\r\n');
    await raw.until(/^HTTP\/1.1 200 OK/);
    await raw.closed;
  });

  test('a client that says it is done sending still gets its answer', async () => {
    const { opened, open } = gate();
    const slow = await startReceiver({ beforeKey: () => opened });
    const raw = await openRaw(slow.httpPort);
    raw.socket.end(head(['Content-Length: 5']) + message.toString('latin1'), 'latin1');
    // A round trip later the receiver has seen the end, too.
    await sendHttp(slow.httpPort, { method: 'GET', path: '/health' });
    open();
    await raw.until(/^HTTP\/1.1 200 OK/);
    await raw.closed;
    await slow.stop();
  });

  test('a request without Host, or with an odd expectation, is served all the same', async () => {
    for (const line of ['Host: gateway', 'Host: gateway\r\nExpect: 200-maybe']) {
      const raw = await openRaw(under.httpPort);
      const text = head(['Content-Length: 5']).replace('Host: gateway', line);
      raw.socket.write(line === 'Host: gateway' ? text.replace(`${line}\r\n`, '') : text);
      raw.socket.write(message);
      await raw.until(/^HTTP\/1.1 200 OK/);
      raw.socket.destroy();
    }
  });

  test('a head that is too large is a 431', async () => {
    const raw = await openRaw(under.httpPort);
    raw.socket.write(head([`x-filler: ${'a'.repeat(20_000)}`]));
    await raw.until(/^HTTP\/1.1 431 /);
    await raw.closed;
  });
});

describe('any door', () => {
  test('the gRPC port speaks HTTP/1.1', async () => {
    expect((await sendHttp(under.grpcPort, { body: message })).status).toBe(200);
  });

  test.for(['grpcPort', 'httpPort'] as const)('%s speaks OTLP/HTTP over HTTP/2', async (port) => {
    const session = connectHttp2(`http://127.0.0.1:${under[port]}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/traces',
      'content-type': 'application/x-protobuf',
      'x-api-key': goodKey,
    });
    stream.end(message);
    const [headers] = await once(stream, 'response');
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/x-protobuf' });
    expect(last()?.body.message).toEqual(message);
    const refused = session.request({
      ':method': 'POST',
      ':path': '/v1/traces',
      'content-type': 'text/plain',
      'x-api-key': goodKey,
    });
    refused.write(message);
    const [refusal] = await once(refused, 'response');
    expect(refusal[':status']).toBe(415);
    refused.resume();
    await once(refused, 'close');
    session.close();
  });

  test('what only begins like HTTP/2 is let go of', async () => {
    const raw = await openRaw(under.grpcPort);
    raw.socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'nonsense'.repeat(100)}`);
    await raw.closed;
    const other = await openRaw(under.grpcPort);
    other.socket.write('PRINT / HTTP/1.1\r\n\r\n');
    await other.closed;
  });

  test('a connection whose first bytes come one by one is understood', async () => {
    const raw = await openRaw(under.grpcPort);
    const text = head(['Content-Length: 0']);
    for (const letter of text.slice(0, 6)) {
      raw.socket.write(letter);
      await new Promise((resolve) => setImmediate(resolve));
    }
    raw.socket.write(text.slice(6));
    await raw.until(/^HTTP\/1.1 200 OK/);
    raw.socket.destroy();
  });

  test('TLS on a plain port is told to write http://', async () => {
    const raw = await openRaw(under.httpPort);
    raw.socket.write(Buffer.from('16030100c8010000c40303', 'hex'));
    await raw.until(/^HTTP\/1.1 400 write http:\/\/ in the endpoint/);
  });
});
