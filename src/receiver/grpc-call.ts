/** One unary call: what the exchange needs to know about gRPC. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Compression } from '../core/delivery.ts';
import type { GatewayError } from '../core/errors.ts';
import type { IncomingBody, IncomingRequest } from '../core/incoming.ts';
import { compressionOf } from './content.ts';
import { Exchange, type Shared } from './exchange.ts';
import { frameSink } from './grpc-message.ts';
import { endUnread } from './grpc-session.ts';
import { credentialsOf, textOf } from './head.ts';
import { inflate } from './inflate.ts';
import { collect } from './read-body.ts';
import { renderGrpcError } from './respond.ts';
import type { Room } from './room.ts';

/** A call as node:http2 hands it over. */
export type CallOnWire = {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  /** Flat: name, value, name, value. */
  readonly raw: readonly string[];
  readonly peer: string;
};

const prefixBytes = 5;

export const grpcHeaders = { ':status': 200, 'content-type': 'application/grpc' } as const;

export class GrpcCall {
  readonly exchange: Exchange;
  readonly #wire: CallOnWire;
  readonly #messageBytesMax: number;

  constructor(shared: Shared, wire: CallOnWire, messageBytesMax: number) {
    const { options } = shared;
    const { headers } = wire;
    this.#wire = wire;
    this.#messageBytesMax = messageBytesMax;
    const head = {
      protocol: 'grpc',
      peer: wire.peer,
      credentials: credentialsOf(wire, options.apiKeyHeader),
      platformHeader: textOf(headers[options.platformHeader]),
      requestId: textOf(headers['x-request-id']),
      timeoutMs: timeoutMsOf(textOf(headers['grpc-timeout'])),
    } as const;
    this.exchange = new Exchange(shared, head, this);
  }

  run<Result>(
    journey: (request: IncomingRequest) => Promise<Result>,
    succeed: (result: Result) => void,
  ): void {
    this.exchange.run(journey, succeed);
  }

  async readBody(room: Room): Promise<IncomingBody> {
    const { stream, headers } = this.#wire;
    const bytesMax = this.#messageBytesMax;
    const compression = compressionOf(textOf(headers['grpc-encoding']));
    const sink = frameSink({ room, bytesMax, mayBeCompressed: compression !== 'identity' });
    const { compressed, message } = await collect(stream, sink, room);
    // A plain message under a grpc-encoding is legal: the flag decides.
    if (!compressed || compression === 'identity') return bodyOf('identity', message, message);
    const inflated = await inflate(message, compression, { room, bytesMax });
    if (inflated.portable) return bodyOf(compression, message, inflated.message);
    return bodyOf('identity', inflated.message, inflated.message);
  }

  refuse(error: GatewayError): void {
    this.fail(renderGrpcError(error));
  }

  cut(): void {
    this.#wire.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /** Answers with one message, and so ends the call. */
  succeed(message: Buffer): void {
    const stream = this.#wire.stream;
    if (!canRespond(stream)) return;
    stream.respond(this.responseHeaders(), { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(framed(message));
  }

  responseHeaders(): Record<string, string | number> {
    return {
      ...grpcHeaders,
      'x-mibo-gateway-request-id': this.exchange.gatewayRequestId,
    };
  }

  /** Trailers only; a client that is still sending is told to stop, without a fault. */
  fail(trailers: Readonly<Record<string, string>>): void {
    const stream = this.#wire.stream;
    if (!canRespond(stream)) return;
    stream.respond({ ...this.responseHeaders(), ...trailers }, { endStream: true });
    endUnread(stream);
  }

  get stream(): ServerHttp2Stream {
    return this.#wire.stream;
  }
}

function canRespond(stream: ServerHttp2Stream): boolean {
  return !(stream.destroyed || stream.closed || stream.headersSent);
}

export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(prefixBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, prefixBytes);
  return frame;
}

function bodyOf(compression: Compression, received: Buffer, message: Buffer): IncomingBody {
  return { encoding: 'proto', compression, received, message };
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** `grpc-timeout` (grpc/doc/PROTOCOL-HTTP2.md); undefined if absent or not one. */
export function timeoutMsOf(text: string | undefined): number | undefined {
  const match = text === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (unitMs[match[2] ?? ''] ?? 0);
}
