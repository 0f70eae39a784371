import { connect } from 'node:http2';
import { afterEach, describe, expect, test } from 'vitest';
import { createClientAddressOf } from '../../src/receiver/client-address.ts';
import { callGrpc, sendHttp } from './clients.ts';
import { goodKey, startReceiver, type UnderTest } from './receiver-under-test.ts';

const clientOf = createClientAddressOf(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1']);
const seen = (socket: string | undefined, forwarded?: string) =>
  clientOf(socket, forwarded === undefined ? {} : { 'x-forwarded-for': forwarded });

describe('the address of a client', () => {
  test.each([
    ['203.0.113.5', 'a proxy names one client'],
    ['198.51.100.1, 203.0.113.5', 'the client adds another itself'],
    ['nonsense, 203.0.113.5', 'the client adds nonsense itself'],
    ['203.0.113.5, 10.4.4.4, 192.0.2.7', 'it went through several trusted proxies'],
    ['203.0.113.5,10.4.4.4', 'without spaces'],
    ['203.0.113.5:4711', 'with its port'],
    ['[203.0.113.5]:4711, 2001:db8::1', 'in brackets, through a proxy with IPv6'],
  ])('is that of %s where %j', (forwarded) => {
    for (const socket of ['10.1.1.1', '::ffff:10.1.1.1', '2001:db8::9', '::1', '192.0.2.7']) {
      expect(seen(socket, forwarded)).toBe('203.0.113.5');
    }
  });

  test('of IPv6, with and without a port', () => {
    expect(seen('10.1.1.1', '2001:db9::5')).toBe('2001:db9::5');
    expect(seen('10.1.1.1', '[2001:db9::5]:4711')).toBe('2001:db9::5');
  });

  test('is that of the connection if it comes from nobody trusted', () => {
    for (const socket of ['203.0.113.9', '192.0.2.8', '2001:db9::1', '::ffff:203.0.113.9', '']) {
      expect(seen(socket, '203.0.113.5')).toBe(socket);
    }
    expect(seen(undefined, '203.0.113.5')).toBe('');
  });

  test('is that of the connection if the header is missing or not what a proxy writes', () => {
    const odd = ['', ' ', 'unknown', '203.0.113.5, junk', '203.0.113.5,', '1.2.3', '[::1', '_x'];
    const amidst = '203.0.113.5, junk, 10.2.2.2';
    for (const forwarded of [undefined, ...odd, amidst]) {
      expect(seen('10.1.1.1', forwarded)).toBe('10.1.1.1');
    }
  });

  test('is the first one where a trusted network talks to itself', () => {
    expect(seen('10.1.1.1', '10.9.9.9, 10.2.2.2')).toBe('10.9.9.9');
  });
});

describe('at the doors', () => {
  let under: UnderTest;
  afterEach(() => under.stop());
  const headers = { 'x-forwarded-for': '203.0.113.5' };
  const peers = () => under.received.map(({ request }) => request.peer);

  test.each([
    [['127.0.0.1'], '203.0.113.5'],
    [[], '127.0.0.1'],
  ])('with %j trusted a request over HTTP/1, HTTP/2 and gRPC is of %s', async (trusted, peer) => {
    under = await startReceiver({ trustedProxies: trusted });
    await sendHttp(under.httpPort, { headers });
    await sendOverHttp2(under.httpPort, headers);
    await callGrpc(under.grpcPort, { headers });
    expect(peers()).toEqual([peer, peer, peer]);
  });

  test('a header that is sent twice is read as one list', async () => {
    under = await startReceiver({ trustedProxies: ['127.0.0.1'] });
    const twice = { 'x-forwarded-for': ['198.51.100.1', '203.0.113.5'] };
    await sendHttp(under.httpPort, { headers: twice });
    await sendOverHttp2(under.httpPort, twice);
    expect(peers()).toEqual(['203.0.113.5', '203.0.113.5']);
  });
});

async function sendOverHttp2(port: number, headers: Record<string, string | string[]>) {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/v1/traces',
      'content-type': 'application/x-protobuf',
      'x-api-key': goodKey,
      ...headers,
    });
    stream.end();
    for await (const _ of stream);
  } finally {
    session.destroy();
  }
}
