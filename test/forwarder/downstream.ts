/** A real HTTP server in the place of the ingestion service, which answers as a test says. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Received = {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The names in a body of `a;b;`. */
  readonly names: readonly string[];
};

/** Ends the response, now or later, or destroys its socket. */
export type Respond = (response: ServerResponse, received: Received) => void;

export type Downstream = {
  readonly port: number;
  readonly endpoint: string;
  readonly received: Received[];
  /** Names that were answered 2xx, with repetitions. */
  readonly accepted: string[];
  /** Requests that wait for their answer now, and the most there ever were at once. */
  readonly open: { now: number; most: number };
  respond: Respond;
  /** Bodies over 1 MB are answered so and left unread, once it is set. */
  refuseUnread: number | undefined;
  stop(): Promise<void>;
};

export const respondOk: Respond = (response) => void response.writeHead(200).end();

export function respondWith(
  status: number,
  text = '',
  headers: Readonly<Record<string, string>> = {},
): Respond {
  return (response) => void response.writeHead(status, headers).end(text);
}

export async function startDownstream(respond: Respond = respondOk, port = 0): Promise<Downstream> {
  const server = createServer((request, response) => {
    if (downstream.refuseUnread && Number(request.headers['content-length']) > 1_000_000) {
      response.writeHead(downstream.refuseUnread, { connection: 'close' }).end();
      return;
    }
    const chunks: Buffer[] = [];
    request.on('error', () => {});
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const names = body.toString('latin1').split(';').slice(0, -1);
      const received = { path: request.url ?? '', headers: request.headers, body, names };
      downstream.received.push(received);
      track(downstream, response, names);
      downstream.respond(response, received);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  const downstream: Downstream = {
    port: bound,
    endpoint: `http://127.0.0.1:${bound}`,
    received: [],
    accepted: [],
    open: { now: 0, most: 0 },
    respond,
    refuseUnread: undefined,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return downstream;
}

function track(downstream: Downstream, response: ServerResponse, names: readonly string[]): void {
  const { open, accepted } = downstream;
  open.now += 1;
  open.most = Math.max(open.most, open.now);
  response.on('finish', () => {
    if (response.statusCode < 300) accepted.push(...names);
  });
  response.on('close', () => {
    open.now -= 1;
  });
}
