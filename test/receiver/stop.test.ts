import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { callGrpc, exportPath, frame, head, openRaw, sendHttp } from './clients.ts';
import {
  fullSuccess,
  gate,
  goodKey,
  type Setup,
  startReceiver,
  until,
} from './receiver-under-test.ts';

/** A receiver whose next requests stay under way until the gate is opened. */
async function startHeld(setup: Setup = {}) {
  const { opened, open } = gate();
  let held = 0;
  const under = await startReceiver({
    ...setup,
    settle: async () => {
      held += 1;
      await opened;
      return fullSuccess;
    },
  });
  return { under, open, held: () => held };
}

function openCall(session: ClientHttp2Session, path = exportPath) {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    'x-api-key': goodKey,
  });
  stream.on('error', () => {});
  stream.resume();
  return stream;
}

describe('stop', () => {
  test('ends what is being read, and closes idle connections', async () => {
    const { under, open, held } = await startHeld();
    open();
    const raw = await openRaw(under.httpPort);
    raw.socket.write(head(['Content-Length: 10']));
    raw.socket.write('hello');
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const call = openCall(session);
    call.write(frame(Buffer.alloc(10)).subarray(0, 8));
    const idle = await openRaw(under.httpPort);
    idle.socket.write(head(['Content-Length: 0']));
    await idle.until(/200 OK/);
    const silent = await openRaw(under.httpPort);
    await until(() => under.budget.usedBytes === 20);

    const stopped = under.stop(60_000);
    await silent.closed;
    raw.socket.write('world');
    call.end(Buffer.alloc(7));
    const [trailers] = await once(call, 'trailers');
    expect(trailers['grpc-status']).toBe('0');
    expect(await raw.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 200 OK.*Connection: close/s);
    await Promise.all([stopped, raw.closed, idle.closed, once(session, 'close')]);
    expect(held()).toBe(3);
    expect(under.budget.usedBytes).toBe(0);
  });

  test('a request on an open connection gets 503 and a retry hint', async () => {
    const { under, open, held } = await startHeld();
    const kept = await openRaw(under.httpPort);
    kept.socket.write(head(['Content-Length: 0'], '/nowhere'));
    await kept.until(/404/);
    const first = sendHttp(under.httpPort);
    await until(() => held() === 1);
    const stopped = under.stop(60_000);
    kept.socket.write(head(['Content-Length: 0']));
    const text = await kept.until(/404.*503.*\r\n\r\n/s);
    expect(text).toMatch(/HTTP\/1.1 503 send it again: .*Retry-After: 1.*Connection: close/s);
    await kept.closed;
    open();
    expect((await first).headers.connection).toBe('close');
    await stopped;
    await expect(sendHttp(under.httpPort)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a call that comes behind GOAWAY ends instead of hanging', async () => {
    const { under, open, held } = await startHeld();
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    session.on('error', () => {});
    const first = openCall(session);
    first.end(frame(Buffer.alloc(3)));
    await until(() => held() === 1);
    const stopped = under.stop(60_000);
    const second = openCall(session);
    const ended = new Promise((resolve) => second.on('close', resolve));
    second.end(frame(Buffer.alloc(3)));
    open();
    const [trailers] = await once(first, 'trailers');
    expect(trailers['grpc-status']).toBe('0');
    await Promise.all([ended, stopped]);
    expect(held()).toBe(1);
  });

  test('a request whose connection broke before its body was read holds nothing up', async () => {
    const { opened, open } = gate();
    const under = await startReceiver({ beforeKey: () => opened });
    const idle = await openRaw(under.httpPort);
    idle.socket.write(head(['Content-Length: 0'], '/nowhere'));
    await idle.until(/404/);
    const broken = await openRaw(under.httpPort);
    broken.socket.write(`${head(['Transfer-Encoding: chunked'])}zz\r\n`);
    await broken.until(/^HTTP\/1.1 400 /);
    open();
    await Promise.all([under.stop(60_000), idle.closed, broken.closed]);
    expect(under.received).toEqual([]);
  });

  test('what does not end within the grace is cut off', async () => {
    const { under } = await startHeld({ requestDeadlineMs: 60_000 });
    const raw = await openRaw(under.httpPort);
    raw.socket.write(head(['Content-Length: 10']));
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    session.on('error', () => {});
    const call = openCall(session);
    call.write(frame(Buffer.alloc(10)).subarray(0, 8));
    await until(() => under.budget.usedBytes === 20);
    await Promise.all([under.stop(50), raw.closed, once(session, 'close')]);
    await until(() => under.budget.usedBytes === 0);
    expect(under.received).toEqual([]);
  });

  test('a client that never closes holds it up for a moment only', async () => {
    const clock = manualClock();
    const { under, open, held } = await startHeld({ clock, keepalive: { timeMs: 555 } });
    const frozen = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const call = openCall(frozen);
    call.end(frame(Buffer.alloc(3)));
    await until(() => held() === 1);
    const raw = await openRaw(under.grpcPort);
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    raw.socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings]));
    raw.socket.pause();
    await until(() => clock.waiting(555) === 2);
    const stopped = under.stop(60_000);
    expect(clock.waiting(1000)).toBe(0);
    open();
    await once(frozen, 'close');
    await until(() => clock.pass((ms) => ms === 1000) === 1);
    await stopped;
    raw.socket.destroy();
  });

  test('a taken port is an error, and the other one is given back', async () => {
    const one = await startReceiver();
    await expect(startReceiver({ http: { port: one.httpPort } })).rejects.toThrow(/EADDRINUSE/);
    await one.stop();
  });
});

/** Time that stands still until the test lets a delay of that length pass. */
function manualClock(): Clock & {
  pass(delayMs: (ms: number) => boolean): number;
  waiting(delayMs: number): number;
} {
  const waiting = new Set<{ delayMs: number; run: () => void }>();
  return {
    ...systemClock,
    after(delayMs, run) {
      const entry = { delayMs, run };
      waiting.add(entry);
      return () => waiting.delete(entry);
    },
    waiting: (delayMs) => [...waiting].filter((entry) => entry.delayMs === delayMs).length,
    pass(matches) {
      let passed = 0;
      for (const entry of [...waiting]) {
        if (!matches(entry.delayMs)) continue;
        waiting.delete(entry);
        entry.run();
        passed += 1;
      }
      return passed;
    },
  };
}

describe('HTTP/2 connections', () => {
  test('grow old within 10 % of the configured age, and their calls have a grace', async () => {
    const clock = manualClock();
    const { under, open, held } = await startHeld({
      clock,
      keepalive: { connectionAgeMaxMs: 1_000_000, connectionAgeGraceMs: 77 },
    });
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const call = openCall(session);
    call.end(frame(Buffer.alloc(3)));
    await until(() => held() === 1);
    const goaway = once(session, 'goaway');
    expect(clock.pass((ms) => ms >= 900_000 && ms <= 1_100_000)).toBe(1);
    expect((await goaway)[0]).toBe(0);
    open();
    const [trailers] = await once(call, 'trailers');
    expect(trailers['grpc-status']).toBe('0');
    await once(session, 'close');

    const stuck = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    stuck.on('error', () => {});
    const never = openCall(stuck);
    never.write(frame(Buffer.alloc(3)).subarray(0, 6));
    await until(() => under.budget.usedBytes > 0);
    clock.pass((ms) => ms >= 900_000 && ms <= 1_100_000);
    expect(clock.pass((ms) => ms === 77)).toBe(1);
    await once(stuck, 'close');
    await until(() => under.budget.usedBytes === 0);
    await under.stop();
  });

  test('are pinged when idle, and ended when no answer comes', async () => {
    const clock = manualClock();
    const under = await startReceiver({ clock, keepalive: { timeMs: 555, timeoutMs: 66 } });
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    let pings = 0;
    session.on('ping', () => {
      pings += 1;
    });
    await once(session, 'remoteSettings');
    await until(() => clock.pass((ms) => ms === 555) === 1);
    await until(() => pings === 1);
    // Answered: the next one is due in its time.
    await until(() => clock.pass((ms) => ms === 555) === 1);
    await until(() => pings === 2);
    await until(() => clock.waiting(555) === 1);
    session.destroy();
    await until(() => clock.waiting(555) === 0);

    const deaf = await openRaw(under.grpcPort);
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    deaf.socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings]));
    await until(() => clock.pass((ms) => ms === 555) === 1);
    await until(() => clock.pass((ms) => ms === 66) === 1);
    await deaf.closed;
    await under.stop();
  });

  test('a watcher of health is told of the end', async () => {
    const under = await startReceiver();
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    const watch = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Watch',
      'content-type': 'application/grpc',
    });
    const pieces: Buffer[] = [];
    watch.on('data', (piece: Buffer) => pieces.push(piece));
    watch.end(frame(Buffer.alloc(0)));
    await until(() => pieces.length === 1);
    const stopped = under.stop();
    const [trailers] = await once(watch, 'trailers');
    expect(trailers['grpc-status']).toBe('14');
    await stopped;
    const [serving, notServing] = ['0801', '0802'].map((hex) => frame(Buffer.from(hex, 'hex')));
    expect(Buffer.concat(pieces)).toEqual(Buffer.concat([serving, notServing] as Buffer[]));
  });

  test('more calls at once than allowed wait for their turn', async () => {
    const under = await startReceiver({ grpc: { concurrentStreamsMax: 2 } });
    const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
    expect(session.remoteSettings.initialWindowSize).toBeGreaterThanOrEqual(256 * 1024);
    session.destroy();
    expect((await callGrpc(under.grpcPort)).status).toBe(0);
    await under.stop();
  });
});
