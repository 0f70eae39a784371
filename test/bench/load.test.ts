import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createGrpcLoad } from '../../bench/grpc-load.ts';
import { createHttpLoad } from '../../bench/http-load.ts';
import type { Target } from '../../bench/load-client.ts';
import { makePayloads } from '../../bench/payloads.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function listen(server: Server): Promise<number> {
  closers.push(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

const spec = { encoding: 'proto', compression: 'identity', named: true } as const;

function target(port: number, spans: 1 | 512): Target {
  return {
    port,
    apiKey: 'mibo_key',
    contentType: 'application/x-protobuf',
    compression: 'identity',
    payloads: makePayloads({ ...spec, spans }),
    connections: 2,
    streams: 4,
  };
}

type Got = { bodies: Set<string>; requests: number };

/** Answers each request with the status that `statusOf` gives for its number. */
function grpcServer(got: Got, statusOf: (request: number) => number): Promise<number> {
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
    stream.on('end', () => {
      got.requests += 1;
      const message = Buffer.concat(chunks);
      expect(message.readUInt32BE(1)).toBe(message.length - 5);
      expect(headers['x-api-key']).toBe('mibo_key');
      got.bodies.add(message.subarray(5).toString('hex'));
      const status = statusOf(got.requests);
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status) }));
      stream.end(Buffer.alloc(5));
    });
  });
  return listen(server);
}

describe.each([1, 512] as const)('%i spans over gRPC', (spans) => {
  test('each request arrives whole and is counted by its status', async () => {
    const got: Got = { bodies: new Set(), requests: 0 };
    const port = await grpcServer(got, (request) => (request % 3 === 0 ? 8 : 0));
    const load = await createGrpcLoad(target(port, spans));
    closers.push(load.close);
    const result = await load.run(150);
    const sent = new Set(target(port, spans).payloads.map(({ body }) => body.toString('hex')));
    expect([...got.bodies].filter((body) => !sent.has(body))).toEqual([]);
    expect(result.requests).toBe(got.requests);
    const refused = Math.floor(got.requests / 3);
    expect(result.statuses).toEqual({ 'grpc 0': got.requests - refused, 'grpc 8': refused });
    expect(result.acceptedSpans).toBe((got.requests - refused) * spans);
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms);
  });
});

test('a two-digit gRPC status is no success', async () => {
  const got: Got = { bodies: new Set(), requests: 0 };
  const port = await grpcServer(got, () => 14);
  const load = await createGrpcLoad(target(port, 1));
  closers.push(load.close);
  const result = await load.run(50);
  expect(result.acceptedSpans).toBe(0);
  expect(result.statuses).toEqual({ 'grpc 14': got.requests });
});

test('a connection that breaks ends the phase and is counted', async () => {
  const server = createHttp2Server();
  server.on('stream', (stream) => stream.session?.destroy());
  const load = await createGrpcLoad(target(await listen(server), 1));
  closers.push(load.close);
  const result = await load.run(50);
  expect(result.acceptedSpans).toBe(0);
  expect(Object.keys(result.statuses)).toHaveLength(1);
});

test('HTTP requests are counted by their status, and a partial success is no success', async () => {
  let requests = 0;
  const server = createHttpServer((request, response) => {
    request.resume().on('end', () => {
      requests += 1;
      if (requests % 4 === 0) response.writeHead(503, { 'content-length': 0 }).end();
      else if (requests % 4 === 1) response.writeHead(200, { 'content-length': 3 }).end('abc');
      else response.writeHead(200, { 'content-length': 0 }).end();
    });
  });
  closers.push(() => server.closeAllConnections());
  const load = await createHttpLoad(target(await listen(server), 1));
  closers.push(load.close);
  const result = await load.run(50);
  const refused = Math.floor(requests / 4);
  const partial = Math.floor((requests + 3) / 4);
  expect(result.statuses).toEqual({ 200: requests - refused - partial, 503: refused, partial });
  expect(result.acceptedSpans).toBe(requests - refused - partial);
});

test('an HTTP connection that breaks ends the phase and is counted', async () => {
  const server = createHttpServer((request) => request.socket.destroy());
  const load = await createHttpLoad(target(await listen(server), 1));
  closers.push(load.close);
  expect((await load.run(50)).statuses).toEqual({ closed: 2 });
});
