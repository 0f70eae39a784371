/** What becomes of those who try keys that do not exist, and of those who share their address. */
import { afterEach, describe, expect, test } from 'vitest';
import { generateKey } from '../../src/auth/key-format.ts';
import { framed, type GrpcClient, grpcClient, retryInfoOf } from '../harness/grpc-client.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { type Doors, type DoorsOptions, openDoors } from './doors-in-process.ts';

let doors: Doors;
let client: GrpcClient;
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(options: DoorsOptions): Promise<void> {
  doors = await openDoors(options);
  closing.push(doors.stop);
  client = grpcClient(doors.grpcPort);
  closing.push(client.close);
}

const { proto } = makeExport({ spans: 1 });

function sendHttp(key: string, from?: string) {
  return http({
    port: doors.httpPort,
    headers: [
      ...['x-api-key', key, 'Content-Type', 'application/x-protobuf'],
      ...(from === undefined ? [] : ['X-Forwarded-For', from]),
    ],
    body: proto,
  });
}

function sendGrpc(key: string, from?: string) {
  return client.call({
    headers: ['x-api-key', key, ...(from === undefined ? [] : ['x-forwarded-for', from])],
    body: framed(proto),
  });
}

const httpStatus = async (key: string, from?: string) => (await sendHttp(key, from)).status;
const grpcStatus = async (key: string, from?: string) => (await sendGrpc(key, from)).status;

/** Uses up the budget of this address. */
async function guess(count: number, from?: string): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    expect(await httpStatus(generateKey(), from)).toBe(401);
  }
}

describe('an address that has tried too many unknown keys', () => {
  test('is told to wait over HTTP, for as long as it takes', async () => {
    await open({ unknownKeyFailuresPerMinute: 20 });
    await guess(20);
    const refused = await sendHttp(generateKey());
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toBe('3');
    expect(refused.reason).toMatch(/^use another API key: this one is not known/);
    doors.clock.advance(2999);
    expect(await httpStatus(generateKey())).toBe(429);
    doors.clock.advance(1);
    await guess(1);
    expect(await httpStatus(generateKey())).toBe(429);
    doors.clock.advance(60_000);
    await guess(20);
  });

  test('is told so over gRPC, with RetryInfo: both doors share its budget', async () => {
    await open({ unknownKeyFailuresPerMinute: 60 });
    await guess(59);
    expect(await grpcStatus(generateKey())).toBe(16);
    const refused = await sendGrpc(generateKey());
    expect(refused.status).toBe(8);
    expect(refused.message).toMatch(/\[RATE_LIMITED\]$/);
    expect(retryInfoOf(refused)).toEqual({ inStatus: 1000, inTrailer: 1000 });
  });

  test('can use a key that exists, as everybody else behind the same address', async () => {
    await open({ unknownKeyFailuresPerMinute: 5 });
    await guess(5);
    expect(await httpStatus(generateKey())).toBe(429);
    expect([await httpStatus(doors.keys[0]), await grpcStatus(doors.keys[1])]).toEqual([200, 0]);
  });

  test('stands behind others where the store is read, until its budget has room', async () => {
    await open({ unknownKeyFailuresPerMinute: 2 });
    await guess(2);
    const before = doors.suspects.length;
    await httpStatus(generateKey());
    await httpStatus(doors.keys[0]);
    doors.clock.advance(30_000);
    await httpStatus(doors.keys[0]);
    // The second check of an accepted key is no guess.
    expect(doors.suspects.slice(before)).toEqual([true, true, false, false, false]);
    expect(doors.suspects.slice(0, before)).toEqual([false, false]);
  });

  test('is still told that a revoked key is not known: the same again is no guess', async () => {
    await open({ unknownKeyFailuresPerMinute: 3 });
    const revoked = generateKey();
    for (let index = 0; index < 50; index += 1) expect(await httpStatus(revoked)).toBe(401);
    await guess(2);
    expect(await httpStatus(generateKey())).toBe(429);
    expect([await httpStatus(revoked), await grpcStatus(revoked)]).toEqual([401, 16]);
  });

  test('has not used up anything with what cannot be a key', async () => {
    await open({ unknownKeyFailuresPerMinute: 1 });
    for (let index = 0; index < 10; index += 1) {
      expect(await httpStatus(`no key ${index}`)).toBe(401);
    }
    expect(doors.suspects).toEqual([]);
    await guess(1);
  });

  test('is not looked at where the budget is 0', async () => {
    await open({ unknownKeyFailuresPerMinute: 0 });
    await guess(100);
  });
});

describe('behind a trusted proxy', () => {
  const behind = { unknownKeyFailuresPerMinute: 2, trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] };

  test('each client has a budget of its own, at both doors', async () => {
    await open(behind);
    await guess(2, '192.0.2.1');
    const other = '192.0.2.2';
    expect(await httpStatus(generateKey(), '192.0.2.1')).toBe(429);
    expect(await grpcStatus(generateKey(), '192.0.2.1, 10.1.2.3')).toBe(8);
    expect(await grpcStatus(generateKey(), other)).toBe(16);
    expect(await httpStatus(generateKey(), other)).toBe(401);
    expect(await grpcStatus(generateKey(), other)).toBe(8);
  });

  test('what a client writes into the header itself gives it no other budget', async () => {
    await open(behind);
    for (const made of ['198.51.100.1', '198.51.100.2']) await guess(1, `${made}, 192.0.2.1`);
    expect(await httpStatus(generateKey(), '198.51.100.3, 192.0.2.1')).toBe(429);
  });

  test('IPv6 clients of one /64 share a budget, and IPv4 written as IPv6 is IPv4', async () => {
    await open(behind);
    await guess(1, '2001:db8:1:2::1');
    await guess(1, '2001:db8:1:2:ffff::2');
    expect(await httpStatus(generateKey(), '2001:db8:1:2:abcd::')).toBe(429);
    expect(await httpStatus(generateKey(), '2001:db8:1:3::1')).toBe(401);
    await guess(1, '192.0.2.7');
    await guess(1, '::ffff:192.0.2.7');
    expect(await httpStatus(generateKey(), '::ffff:c000:207')).toBe(429);
  });

  test('the log names the client', async () => {
    await open(behind);
    await guess(1, '192.0.2.1');
    expect(await grpcStatus('nonsense', '192.0.2.9')).toBe(16);
    expect(doors.lines.map(({ peer }) => peer)).toEqual(['192.0.2.1', '192.0.2.9']);
  });
});

test('without trusted proxies a forwarded address is not believed', async () => {
  await open({ unknownKeyFailuresPerMinute: 2 });
  await guess(1, '192.0.2.1');
  await guess(1, '192.0.2.2');
  expect(await httpStatus(generateKey(), '192.0.2.3')).toBe(429);
  expect(doors.lines.map(({ peer }) => peer)).toEqual(['127.0.0.1', '127.0.0.1']);
});
