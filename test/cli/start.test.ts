/** `start` as its own process: what it says, and how it ends. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { run } from '../harness/command.ts';
import { createStarts, type Started } from './start-process.ts';

const starts = createStarts();
const { start, folder } = starts;

afterAll(() => starts.close());
afterEach(() => starts.killAll());

test('it logs one line for each listener, with the port in use, and is then ready', async () => {
  const gateway = start();
  await gateway.logged('ready');
  const lines = gateway.log.filter(({ msg }) => msg === 'listening');
  expect(lines.map(({ listener }) => listener)).toEqual([
    ...['otlp_grpc', 'otlp_http', 'health', 'metrics', 'admin'],
  ]);
  for (const { host, port } of lines) {
    expect({ host, port }).toEqual({ host: '127.0.0.1', port: expect.any(Number) });
    expect(port).not.toBe(0);
  }
  const health = `telemetry.health.endpoint=127.0.0.1:${await gateway.port('health')}`;
  const probe = await run(['health', '--ready', '--set', health], { cwd: folder });
  expect(probe).toEqual({ code: 0, stdout: 'ready\n', stderr: '' });
  expect(gateway.stdout()).toBe('');
});

describe('a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s stops it in order', async (signal) => {
    const gateway = start();
    await gateway.logged('ready');
    gateway.child.kill(signal);
    expect(await gateway.ended).toBe(0);
    expect(gateway.log.slice(-2)).toMatchObject([{ msg: 'stopping', signal }, { msg: 'stopped' }]);
  });

  test('during a running request lets it finish, though it comes twice at once', async () => {
    const downstream = await silentDownstream();
    const gateway = start([`downstream.endpoint=${downstream.endpoint}`]);
    const answered = await sendThrough(gateway);
    const held = await downstream.received;
    gateway.child.kill('SIGTERM');
    gateway.child.kill('SIGTERM');
    await gateway.logged('stopping');
    held.answer();
    expect(await answered.status).toBe(201);
    expect(await gateway.ended).toBe(0);
    downstream.close();
  });

  test('of another kind ends it at once, whatever is still running', async () => {
    const downstream = await silentDownstream();
    const gateway = start([`downstream.endpoint=${downstream.endpoint}`]);
    const answered = await sendThrough(gateway);
    await downstream.received;
    gateway.child.kill('SIGTERM');
    await gateway.logged('stopping');
    gateway.child.kill('SIGINT');
    expect(await gateway.ended).toBe(1);
    await expect(answered.status).rejects.toThrow();
    downstream.close();
  });
});

test('a fault that nobody caught is logged, and the exit code is 1', async () => {
  const fault = 'setTimeout(() => { throw new Error("a fault of ours"); }, 50)';
  const gateway = start([], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURI(fault)}` });
  expect(await gateway.ended).toBe(1);
  expect(gateway.log.at(-1)).toMatchObject({
    level: 'fatal',
    msg: 'ended by a fault',
    err: { message: 'a fault of ours' },
  });
});

/** A downstream that answers when it is told to. */
async function silentDownstream() {
  const received = Promise.withResolvers<{ answer(): void }>();
  const server = createServer((incoming, response) => {
    incoming.resume();
    received.resolve({
      answer: () => void response.writeHead(201, { 'content-type': 'application/json' }).end('{}'),
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { endpoint: `http://127.0.0.1:${port}`, received: received.promise, close };
}

/** Sends flat spans with a new key; `status` is that of the answer. */
async function sendThrough(gateway: Started): Promise<{ readonly status: Promise<number> }> {
  const port = await gateway.port('otlp_http');
  const agent = crypto.randomUUID();
  const cwd = { cwd: folder };
  await run(['projects', 'add', 'Acme'], cwd);
  await run(['agents', 'add', agent, '--project', 'Acme', '--name', 'Bot'], cwd);
  const key = await run(
    ['keys', 'create', '--project', 'Acme', '--name', 'n', '--agent', agent],
    cwd,
  );
  const status = new Promise<number>((resolve, reject) => {
    const headers = { 'x-api-key': key.stdout.trim(), 'content-type': 'application/json' };
    const options = { host: '127.0.0.1', port, path: '/public/traces', method: 'POST', headers };
    const sent = request(options, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end('{"spans":[{"span_id":"s-1","name":"Agent"}]}');
  });
  // Its end is waited for later on, after what the test does in between.
  status.catch(() => {});
  return { status };
}
