/**
 * A small real ingestion service: takes what the gateway forwards, for trying things and for tests.
 *
 *   POST /v1/traces       OTLP, protobuf or JSON     → 200, empty ExportTraceServiceResponse
 *   POST /public/traces   the same, or flat spans    → 201 created, 200 replaced (x-request-id)
 *
 * Promise: a delivery is handed to `onDelivery` before it is answered with a 2xx, so what was
 * answered was seen; bodies are bounded, on the wire and inflated. Keys are never kept: only the
 * headers listed here are.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';
import { GatewayError } from '../core/errors.ts';
import type { Endpoint } from './address.ts';
import { readDelivery, type SinkDelivery } from './sink-delivery.ts';

export type { SinkDelivery, SinkSpan, SinkTrace } from './sink-delivery.ts';

export type Sink = {
  /** Resolves with the port in use. */
  start(): Promise<number>;
  stop(): Promise<void>;
};

export type SinkOptions = Endpoint & {
  /** The resource attribute that names the agent. */
  readonly attribute: string;
  /** The delivery is answered once this is done. */
  readonly onDelivery: (delivery: SinkDelivery) => void | Promise<void>;
  /** Of a body, on the wire and inflated; 64 MiB by default. */
  readonly bodyBytesMax?: number;
};

const keptHeaders = /^(?:x-mibo-.*|x-request-id|idempotency-key|content-type|content-encoding)$/;
const paths = ['/v1/traces', '/public/traces'];
const requestIdsMax = 10_000;

export function createSink(options: SinkOptions): Sink {
  const bodyBytesMax = options.bodyBytesMax ?? 64 * 1024 * 1024;
  const traceIds = createTraceIds();
  const server = createServer((request, response) => {
    receive(request).catch((fault: unknown) => refuse(request, response, fault));

    async function receive({ method, url, headers }: IncomingMessage): Promise<void> {
      const path = url?.split('?')[0] ?? '';
      if (!paths.includes(path)) throw new SinkRefusal(404, `post to ${paths.join(' or ')}`);
      if (method !== 'POST') throw new SinkRefusal(405, 'use POST');
      const body = await inflateBody(request, await readBody(request, bodyBytesMax), bodyBytesMax);
      const kept = Object.entries(headers).filter(([name]) => keptHeaders.test(name));
      const delivery = readDelivery({
        path,
        headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
        body,
        attribute: options.attribute,
      });
      await options.onDelivery(delivery);
      accept(response, delivery, traceIds);
    }
  });
  return {
    start: () => listen(server, options),
    stop: () => close(server),
  };
}

class SinkRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        // Not destroyed: the client is to read the answer.
        request.pause().removeAllListeners('data');
        reject(new SinkRefusal(413, `send at most ${bytesMax} bytes`));
      } else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
  });
}

type Inflate = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const inflaters: Readonly<Record<string, Inflate>> = {
  gzip: promisify(gunzip) as Inflate,
  deflate: promisify(inflate) as Inflate,
  zstd: promisify(zstdDecompress) as Inflate,
};

async function inflateBody(
  { headers }: IncomingMessage,
  body: Buffer,
  maxOutputLength: number,
): Promise<Buffer> {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return body;
  const inflater = Object.hasOwn(inflaters, encoding) ? inflaters[encoding] : undefined;
  if (inflater === undefined) throw new SinkRefusal(415, `no such encoding: ${encoding}`);
  return inflater(body, { maxOutputLength }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new SinkRefusal(413, `send at most ${maxOutputLength} bytes, inflated`);
    }
    throw new SinkRefusal(400, `the body is not ${encoding}: ${error.message}`);
  });
}

/** `x-request-id` is a trace's identity: the same one again replaces that trace. */
type TraceIds = { idOf(requestId: string | undefined): { id: string; known: boolean } };

function createTraceIds(): TraceIds {
  const ids = new Map<string, string>();
  return {
    idOf(requestId) {
      const known = requestId === undefined ? undefined : ids.get(requestId);
      if (known !== undefined) return { id: known, known: true };
      const id = crypto.randomUUID();
      const oldest = ids.keys().next().value;
      if (ids.size >= requestIdsMax && oldest !== undefined) ids.delete(oldest);
      if (requestId !== undefined) ids.set(requestId, id);
      return { id, known: false };
    },
  };
}

function accept(response: ServerResponse, delivery: SinkDelivery, traceIds: TraceIds): void {
  if (delivery.kind === 'flat') {
    const { id, known } = traceIds.idOf(delivery.headers['x-request-id']);
    const status = known ? 'replaced' : 'created';
    answerJson(response, known ? 200 : 201, { success: true, data: { id, status } });
  } else if (delivery.encoding === 'json') {
    answerJson(response, 200, {});
  } else {
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, fault: unknown): void {
  // The client went away while it was sending: nobody is there to be told.
  if (request.errored !== null || response.destroyed) return;
  const [status, message] =
    fault instanceof SinkRefusal
      ? [fault.status, fault.message]
      : fault instanceof GatewayError
        ? [400, fault.hint]
        : [500, 'the sink has an internal fault'];
  // What was not read of the body must not be taken for the next request.
  response.setHeader('connection', 'close');
  answerJson(response, status, { success: false, error: { message } });
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function listen(server: Server, { host, port }: Endpoint): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
