/** Raw clients: HTTP/1.1 by node:http and by bare sockets, gRPC by node:http2 frames. */
import { request } from 'node:http';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { goodKey } from './receiver-under-test.ts';

export type HttpReply = {
  readonly status: number;
  readonly reason: string;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
};

export type HttpSend = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: Buffer | string;
  /** Sent chunked instead of with a length. */
  readonly chunks?: readonly Buffer[];
};

/** One request on its own connection, with the good key unless the headers name another. */
export function sendHttp(port: number, send: HttpSend = {}): Promise<HttpReply> {
  const headers = { 'x-api-key': goodKey, 'content-type': 'application/x-protobuf' };
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      agent: false,
      method: send.method ?? 'POST',
      path: send.path ?? '/v1/traces',
      headers: { ...headers, ...send.headers },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('error', reject);
      incoming.on('data', (piece) => pieces.push(piece));
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          reason: incoming.statusMessage ?? '',
          headers: incoming.headers,
          body: Buffer.concat(pieces),
        }),
      );
    });
    for (const chunk of send.chunks ?? []) outgoing.write(chunk);
    outgoing.end(send.body ?? (send.chunks === undefined ? '' : undefined));
  });
}

export type RawConnection = {
  readonly socket: Socket;
  /** Everything that arrived so far. */
  text(): string;
  /** Resolves once what arrived matches; rejects if the connection ends before. */
  until(pattern: RegExp): Promise<string>;
  readonly closed: Promise<void>;
};

export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect(port, '127.0.0.1');
  let arrived = '';
  let check = () => {};
  socket.on('data', (piece) => {
    arrived += piece.toString('latin1');
    check();
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
  });
  return {
    socket,
    text: () => arrived,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (pattern.test(arrived)) resolve(arrived);
        };
        check();
        closed.then(() => reject(new Error(`closed before ${pattern}; arrived: ${arrived}`)));
      }),
    closed,
  };
}

export function head(lines: readonly string[], path = '/v1/traces'): string {
  return [
    `POST ${path} HTTP/1.1`,
    'Host: gateway',
    `x-api-key: ${goodKey}`,
    'Content-Type: application/x-protobuf',
    ...lines,
    '',
    '',
  ].join('\r\n');
}

export const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export type GrpcReply = {
  readonly http: number;
  readonly status: number;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
  /** Of the trailers; the headers where the answer is trailers-only. */
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly rstCode: number;
};

export type GrpcSend = {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  /** Written one by one; the stream is ended behind the last unless `open`. */
  readonly pieces?: readonly Buffer[];
  readonly open?: boolean;
};

export function frame(message: Buffer, compressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** One call on its own connection, with the good key unless the headers name another. */
export function callGrpc(port: number, send: GrpcSend = {}): Promise<GrpcReply> {
  const session = connectHttp2(`http://127.0.0.1:${port}`, {
    // What a client still has to send counts too, and an answer that finds no room is lost.
    maxSessionMemory: 1000,
  });
  const pieces = send.pieces ?? [frame(Buffer.alloc(0))];
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': send.path ?? exportPath,
      'content-type': 'application/grpc',
      te: 'trailers',
      'x-api-key': goodKey,
      ...send.headers,
    },
    { endStream: pieces.length === 0 },
  );
  return new Promise<GrpcReply>((resolve, reject) => {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    const answered: Buffer[] = [];
    session.on('error', reject);
    stream.on('error', () => {});
    stream.on('response', (received) => {
      headers = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (piece: Buffer) => answered.push(piece));
    stream.on('close', () => {
      const end = trailers ?? headers;
      resolve({
        http: Number((headers as Record<string, unknown>)[':status'] ?? 0),
        status: Number(end['grpc-status'] ?? -1),
        message: decodeURIComponent(String(end['grpc-message'] ?? '')),
        headers,
        trailers: end,
        body: Buffer.concat(answered),
        rstCode: stream.rstCode,
      });
    });
    for (const piece of pieces) stream.write(piece);
    if (send.open !== true && pieces.length > 0) stream.end();
  }).finally(() => session.destroy());
}

function http2Frame(type: number, flags: number, payload: Buffer): Buffer {
  const prefix = Buffer.alloc(9);
  prefix.writeUIntBE(payload.length, 0, 3);
  prefix[3] = type;
  prefix[4] = flags;
  // SETTINGS belong to the connection, everything else to its first stream.
  prefix.writeUInt32BE(type === 4 ? 0 : 1, 5);
  return Buffer.concat([prefix, payload]);
}

/**
 * The start of an upload as frames, without its end: Node's own client ends the stream before it
 * resets it, so no server could tell. Names and values up to 126 bytes.
 */
export function http2Upload(headers: Readonly<Record<string, string>>, body: Buffer): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const literals = Object.entries(headers).map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), text(name), text(value)]),
  );
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    http2Frame(4, 0, Buffer.alloc(0)),
    http2Frame(1, 4, Buffer.concat(literals)),
    body.length === 0 ? body : http2Frame(0, 0, body),
  ]);
}

export function http2Reset(code: number): Buffer {
  return http2Frame(3, 0, Buffer.from([0, 0, 0, code]));
}
