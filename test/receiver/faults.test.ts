/** What a stream that nothing was prepared for costs: itself, and nobody else. */
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { callGrpc, sendHttp } from './clients.ts';
import { goodKey, startReceiver } from './receiver-under-test.ts';

test('CONNECT over HTTP/2, which has no path, is answered like any other mistake', async () => {
  const under = await startReceiver();
  const session = connectHttp2(`http://127.0.0.1:${under.grpcPort}`);
  for (const [type, answer] of [
    ['application/grpc', { ':status': 200, 'grpc-status': '12' }],
    ['application/x-protobuf', { ':status': 405 }],
  ] as const) {
    const stream = session.request({
      ':method': 'CONNECT',
      ':authority': 'gateway',
      'content-type': type,
    });
    const [headers] = await once(stream, 'response');
    expect(headers).toMatchObject(answer);
    stream.destroy();
  }
  session.destroy();
  expect((await callGrpc(under.grpcPort)).status).toBe(0);
  await under.stop();
});

test('a fault of ours in a listener is an internal refusal of that request only', async () => {
  const requestDeadlineMs = 1234;
  let broken = true;
  const clock: Clock = {
    ...systemClock,
    after(delayMs, run) {
      if (broken && delayMs === requestDeadlineMs) throw new Error('out of timers');
      return systemClock.after(delayMs, run);
    },
  };
  const under = await startReceiver({ clock, requestDeadlineMs });
  const session = connectHttp2(`http://127.0.0.1:${under.httpPort}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/v1/traces',
    'content-type': 'application/x-protobuf',
    'x-api-key': goodKey,
  });
  const [headers] = await once(stream, 'response');
  expect(headers[':status']).toBe(503);
  session.destroy();
  const http = await sendHttp(under.httpPort);
  expect([http.status, http.headers['retry-after']]).toEqual([503, '2']);
  expect((await callGrpc(under.grpcPort)).status).toBe(14);
  expect(new Set(under.refusals.map(({ kind }) => kind))).toEqual(new Set(['internal']));
  broken = false;
  expect((await sendHttp(under.httpPort)).status).toBe(200);
  expect((await callGrpc(under.grpcPort)).status).toBe(0);
  await under.stop();
});
