/**
 * A downstream that counts: a real HTTP server that keeps every delivery it was sent and answers
 * as a test says. A delivery is kept before it is answered, so `received` is never behind.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { type ReadExport, readExport } from './read-export.ts';
import { createWaiting } from './waiting.ts';

export type Received = {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it came. */
  readonly body: Buffer;
  /** Inflated. */
  readonly message: Buffer;
  /** Status that it was answered with; undefined until then. */
  status: number | undefined;
};

export type SinkAnswer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
};

export type Sink = {
  readonly port: number;
  readonly endpoint: string;
  readonly received: Received[];
  /** Decides each answer; may wait for as long as the test wants. */
  answer: (received: Received) => SinkAnswer | Promise<SinkAnswer>;
  /** Ids of the spans of all OTLP deliveries that were answered 2xx, with repetitions. */
  acceptedSpanIds(): string[];
  /** Resolves once `enough` holds; looked at when a delivery arrives and when it is answered. */
  until(enough: () => boolean): Promise<void>;
  stop(): Promise<void>;
};

const accepted: SinkAnswer = { status: 200, headers: { 'content-type': 'application/x-protobuf' } };

/** What Mibo's ingestion answers: nothing for OTLP, an id for Your API. */
export function acceptAll(received: Received): SinkAnswer {
  if (received.path !== '/public/traces') return accepted;
  return {
    status: 201,
    headers: { 'content-type': 'application/json' },
    body: '{"success":true,"data":{"id":"tr_1"}}',
  };
}

export async function startSink(port = 0): Promise<Sink> {
  const received: Received[] = [];
  const waiting = createWaiting();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => {});
    request.on('end', async () => {
      const body = Buffer.concat(chunks);
      const encoding = request.headers['content-encoding'];
      const delivery: Received = {
        path: request.url ?? '',
        headers: request.headers,
        body,
        message: inflate(body, encoding),
        status: undefined,
      };
      received.push(delivery);
      waiting.look();
      const answer = await sink.answer(delivery);
      delivery.status = answer.status;
      send(response, answer);
      waiting.look();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: taken } = server.address() as AddressInfo;
  const sink: Sink = {
    port: taken,
    endpoint: `http://127.0.0.1:${taken}`,
    received,
    answer: acceptAll,
    acceptedSpanIds: () =>
      received
        .filter(({ path, status = 0 }) => path === '/v1/traces' && status >= 200 && status < 300)
        .flatMap((delivery) => exportOf(delivery).spans.map(({ spanId }) => spanId)),
    until: waiting.until,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return sink;
}

export function exportOf(received: Received): ReadExport {
  return readExport(received.message);
}

function send(response: ServerResponse, answer: SinkAnswer): void {
  if (response.destroyed) return;
  response.writeHead(answer.status, answer.headers);
  response.end(answer.body);
}

function inflate(body: Buffer, encoding: string | undefined): Buffer {
  if (encoding === 'gzip') return gunzipSync(body);
  if (encoding === 'zstd') return zstdDecompressSync(body);
  if (encoding === 'deflate') return inflateSync(body);
  if (encoding !== undefined) throw new Error(`the sink does not know ${encoding}`);
  return body;
}
