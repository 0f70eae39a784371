/**
 * A stop delivers what was accepted, whatever becomes of the key store and of who uses the admin
 * API: neither takes time away from the deliveries.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../harness/cluster.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { acceptAll } from '../harness/sink.ts';

const agent = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sets = [
  'delivery.mode=memory',
  // Longer than the test: only the stop tries again.
  'delivery.retry_on_failure.initial_interval=1h',
  'delivery.retry_on_failure.max_interval=1h',
  'shutdown_timeout=4s',
];

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ gateways: 0 });
});

afterAll(() => cluster?.close());

test('what waits is delivered while the store hangs and somebody idles at the admin API', async () => {
  const { process, toPostgres, admin } = await cluster.join({ sets });
  const { registry } = cluster.operator;
  await registry.project('Support');
  await registry.agent('Support', { id: agent, name: 'Support bot' });
  const { key } = await admin.createKey('Support', { name: 'a key', agents: [agent] });

  cluster.sink.answer = () => ({ status: 503 });
  const { proto, spanIds } = makeExport({});
  const { status } = await http({
    port: process.ports.http,
    headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', key],
    body: proto,
  });
  expect(status).toBe(200);
  await cluster.sink.until(() => cluster.sink.received[0]?.status === 503);
  await process.logged(/did not take a delivery/);

  const tried = cluster.sink.received.length;
  // The stop has the time to try more than once.
  cluster.sink.answer = (received) =>
    cluster.sink.received.length > tried + 1 ? acceptAll(received) : { status: 503 };
  await toPostgres.hang();
  const idle = connect(process.ports.admin as number, '127.0.0.1');
  idle.on('error', () => {});
  await new Promise<void>((resolve) => idle.write('GET / HTTP/1.1\r\n', () => resolve()));
  process.signal('SIGTERM');
  expect(await process.exited).toBe(0);
  idle.destroy();
  expect(process.logs()).not.toMatch(/is lost/);
  expect(cluster.sink.acceptedSpanIds()).toEqual(spanIds.flat());
});
