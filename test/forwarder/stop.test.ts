/** Shutdown: what is accepted is sent if there is any way, and counted if there is none. */
import { afterEach, expect, test } from 'vitest';
import { delivery } from '../queue/delivery.ts';
import {
  type Downstream,
  type Respond,
  respondOk,
  respondWith,
  startDownstream,
} from './downstream.ts';
import { type OpenForwarder, openForwarder, until } from './open-forwarder.ts';

let downstream: Downstream;
let opened: OpenForwarder;

async function open(respond: Respond) {
  downstream = await startDownstream(respond);
  opened = openForwarder({ endpoint: downstream.endpoint, random: () => 0.5 });
  opened.forwarder.run(opened.queue);
}

afterEach(async () => {
  await opened.closeBalanced();
  await downstream.stop();
});

test('stop waits until the queue is empty', async () => {
  await open((response) => setImmediate(() => response.writeHead(200).end()));
  for (let index = 0; index < 100; index += 1) {
    await opened.append(delivery({ agentId: `agent-${index}` }));
  }
  await opened.forwarder.stop(30_000);
  expect(downstream.received.length).toBe(100);
  expect(await opened.counts()).toEqual({ delivered: 100, dropped: {} });
  expect(opened.clock.pending).toBe(0);
});

test('stop on an empty queue resolves at once', async () => {
  await open(respondOk);
  await opened.forwarder.stop(30_000);
});

/** Resolves once something is due within so long, such as a lane that rests. */
async function rests(ms: number): Promise<void> {
  await until(() => (opened.clock.nextInMs ?? Number.POSITIVE_INFINITY) <= ms);
}

test('what recovers within the grace time is still delivered', async () => {
  await open(respondWith(503));
  await opened.append(delivery());
  await until(() => downstream.received.length === 1);
  const stopped = opened.forwarder.stop(30_000);
  downstream.respond = respondOk;
  await rests(1000);
  opened.clock.advance(1000);
  await stopped;
  expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
});

test('a lane that rests is tried at once', async () => {
  await open(respondWith(429, '', { 'retry-after': '60' }));
  await opened.append(delivery());
  await rests(60_000);
  downstream.respond = respondOk;
  await opened.forwarder.stop(30_000);
  expect(await opened.counts()).toEqual({ delivered: 1, dropped: {} });
  expect(opened.clock.pending).toBe(0);
});

test('a lane is tried again every second until the grace time is over', async () => {
  await open(respondWith(429, '', { 'retry-after': '60' }));
  await opened.append(delivery());
  await rests(60_000);
  const stopped = opened.forwarder.stop(10_500);
  for (let attempt = 2; attempt <= 12; attempt += 1) {
    await until(() => downstream.received.length === attempt);
    await rests(1000);
    opened.clock.advance(attempt < 12 ? 1000 : 500);
  }
  await stopped;
  expect(downstream.received.length).toBe(12);
  expect(await opened.counts()).toEqual({ delivered: 0, dropped: { shutdown_timeout: 1 } });
});

test('what waits is sent as soon as a stop is near, and so is what comes later', async () => {
  await open(respondWith(503));
  await opened.append(delivery({ agentId: 'rests' }));
  await rests(1000);
  downstream.respond = respondOk;
  opened.forwarder.hurry();
  await until(() => opened.queue.depth().deliveries === 0);
  await opened.append(delivery({ agentId: 'comes late' }));
  await opened.forwarder.stop(30_000);
  expect(await opened.counts()).toEqual({ delivered: 2, dropped: {} });
});

test('a downstream that comes back during the grace time gets everything', async () => {
  await open(respondOk);
  await downstream.stop();
  for (let index = 0; index < 10; index += 1) {
    await opened.append(delivery({ agentId: `agent-${index}` }));
  }
  // The rests grow well beyond a second.
  for (let round = 0; round < 20; round += 1) {
    await rests(30_000);
    opened.clock.advance(opened.clock.nextInMs ?? 0);
  }
  const stopped = opened.forwarder.stop(30_000);
  await rests(1000);
  downstream = await startDownstream(respondOk, downstream.port);
  opened.clock.advance(1000);
  await stopped;
  expect(await opened.counts()).toEqual({ delivered: 10, dropped: {} });
});

test('what is left after the grace time is dropped, counted and logged', async () => {
  await open(() => {});
  await opened.append(delivery({ agentId: 'under way', items: 2 }));
  await until(() => downstream.received.length === 1);
  await opened.append(delivery({ agentId: 'under way', items: 3 }));
  const stopped = opened.forwarder.stop(30_000);
  opened.clock.advance(30_000);
  await stopped;
  await until(() => downstream.open.now === 0);
  expect(await opened.counts()).toEqual({ delivered: 0, dropped: { shutdown_timeout: 5 } });
  expect(opened.logLines.at(-1)).toContain('"reason":"shutdown_timeout"');
});

test('after the grace time nothing more is sent', async () => {
  await open(() => {});
  for (let index = 0; index < 20; index += 1) {
    await opened.append(delivery({ agentId: `agent-${index}` }));
  }
  await until(() => downstream.received.length === 4);
  const stopped = opened.forwarder.stop(1000);
  opened.clock.advance(1000);
  await stopped;
  expect(downstream.received.length).toBe(4);
  expect(await opened.counts()).toEqual({ delivered: 0, dropped: { shutdown_timeout: 20 } });
});
