/**
 * OTLP/HTTP and Your API: route → method → head → ingest, which calls back for the body.
 *
 * Serves HTTP/1.1, and HTTP/2 through node:http2's request objects of the same shape. The body is
 * not touched, and `100 Continue` not said, before ingest asks for it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Encoding } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';
import type { IncomingBody } from '../core/incoming.ts';
import { encodingOf, mediaType, unsupportedMediaType } from './content.ts';
import { Exchange, refuseOrCut, type Shared } from './exchange.ts';
import { credentialsOf, textOf } from './head.ts';
import { readHttpBody } from './http-body.ts';
import { createRoutes, type Route } from './http-routes.ts';
import { type RequestOnWire, send } from './http-send.ts';
import { cutOff } from './read-body.ts';
import {
  type Answer,
  limitHeaders,
  renderError,
  renderExport,
  renderTracesApi,
  renderTracesApiError,
} from './respond.ts';
import type { Room } from './room.ts';

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void;

export type HttpServer = {
  /** Never listens itself: connections are handed to it. */
  readonly server: Server;
  readonly handle: HttpHandler;
  closeIdle(): void;
  /** Ends the watch over slow heads; the connections are others' to close. */
  close(): void;
};

/** Longer than exporters pause between batches, so that they do not run into a closing socket. */
const keepAliveTimeoutMs = 75_000;
const headersBytesMax = 16 * 1024;
/** Node's word for a connection that ended inside a message. */
const eofFault = 'HPE_INVALID_EOF_STATE';

export function createHttpServer(shared: Shared): HttpServer {
  const { http } = shared.options;
  /** What a connection is busy with, for faults that Node reports for the connection only. */
  const underWay = new WeakMap<Duplex, HttpCall>();
  const handle = createHandler(shared, underWay);
  const server = createServer({
    headersTimeout: http.readHeaderTimeoutMs,
    requestTimeout: Math.max(http.readTimeoutMs, http.readHeaderTimeoutMs),
    connectionsCheckingInterval: Math.min(1000, http.readHeaderTimeoutMs),
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: headersBytesMax,
    // Node's own refusal would have no Status body, and nothing here needs the header.
    requireHostHeader: false,
  });
  // A client that ends its side behind the request still waits for the answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('request', handle);
  // The same handler: it says `100 Continue` itself, once the body is wanted.
  server.on('checkContinue', handle);
  // Expectations that nobody knows are ignored; Node would refuse without a Status body.
  server.on('checkExpectation', handle);
  server.on('clientError', (fault: NodeJS.ErrnoException, socket) => {
    try {
      refuseConnection(shared, { fault, socket, call: underWay.get(socket) });
    } catch {
      socket.destroy();
    }
  });
  // It never listens, and the watch over slow heads starts with this event.
  server.emit('listening');
  return {
    server,
    handle,
    closeIdle: () => server.closeIdleConnections(),
    close: () => server.close(),
  };
}

function createHandler(shared: Shared, underWay: WeakMap<Duplex, HttpCall>): HttpHandler {
  const routeOf = createRoutes(shared.options.tracesApi);
  function serve(wire: RequestOnWire): void {
    const { request } = wire;
    const route = routeOf(request.url ?? '/');
    if (route.door === 'health') {
      answerHealth(wire);
      return;
    }
    const call = new HttpCall(wire, route);
    if (request.httpVersionMajor === 1) underWay.set(request.socket, call);
    call.run();
  }
  return (request, response) => {
    const wire = { request, response, shared, broken: false };
    try {
      serve(wire);
    } catch (thrown) {
      fail(wire, thrown);
    }
  };
}

/** A fault of ours before there was an exchange that could answer. */
function fail(wire: RequestOnWire, thrown: unknown): void {
  const { request, response, shared } = wire;
  refuseOrCut(thrown, {
    refuse(error) {
      const peer = peerOf(wire);
      shared.options.observability.refusals.record(error, { protocol: 'http', peer });
      send(wire, renderError(encodingOf(request.headers['content-type']), error), undefined);
    },
    cut: () => response.destroy(),
  });
}

function peerOf({ request, shared }: RequestOnWire): string {
  return shared.clientAddressOf(request.socket.remoteAddress, request.headers);
}

/** One request: what the exchange needs to know about HTTP. */
class HttpCall {
  readonly exchange: Exchange;
  readonly #wire: RequestOnWire;
  readonly #route: Route;
  readonly #encoding: Encoding | undefined;

  constructor(wire: RequestOnWire, route: Route) {
    const { shared, request } = wire;
    const { headers } = request;
    this.#wire = wire;
    this.#route = route;
    this.#encoding = bodyEncoding(headers['content-type'], route);
    const received = { headers, raw: request.rawHeaders };
    this.exchange = new Exchange(
      shared,
      {
        protocol: 'http',
        peer: peerOf(wire),
        credentials: credentialsOf(received, shared.options.apiKeyHeader),
        platformHeader: textOf(headers[shared.options.platformHeader]),
        requestId: textOf(headers['x-request-id']),
        timeoutMs: undefined,
      },
      this,
    );
  }

  run(): void {
    const route = this.#route;
    if (route.door === 'nowhere') this.exchange.refuse(route.refusal());
    else if (this.#wire.request.method !== 'POST') this.exchange.refuse(postOnly());
    else if (route.door === 'export') this.#export();
    else this.#tracesApi();
  }

  #export(): void {
    const { ingest } = this.#wire.shared.options;
    this.exchange.run(
      (request) => ingest.exportRequest(request),
      (result) => {
        // The body was read, so its encoding is known.
        this.#send(renderExport(this.#encoding ?? 'json', result));
        this.#count(result.rejectedItems);
      },
    );
  }

  #tracesApi(): void {
    const { ingest } = this.#wire.shared.options;
    this.exchange.run(
      (request) => ingest.tracesApi(request),
      (result) => {
        this.#send(renderTracesApi(result));
        this.#count(result.kind === 'export' ? result.result.rejectedItems : 0);
      },
    );
  }

  async readBody(room: Room): Promise<IncomingBody> {
    const { http, tracesApi } = this.#wire.shared.options;
    const bytesMax = this.#route.door === 'traces_api' ? tracesApi.bodyBytesMax : http.bodyBytesMax;
    const encoding = this.#encoding;
    if (encoding === undefined) {
      throw unsupportedMediaType(this.#wire.request.headers['content-type']);
    }
    const body = await readHttpBody(this.#wire, { room, bytesMax });
    return { encoding, ...body };
  }

  /** The connection failed while the request was under way. */
  breakOff(error: GatewayError): void {
    this.#wire.broken = true;
    // A request that is complete is delivered all the same, and was no mistake.
    if (!this.#wire.request.complete) this.exchange.abort(error);
  }

  refuse(error: GatewayError): void {
    if (this.#route.door === 'traces_api') {
      this.#send(renderTracesApiError(error, this.#wire.shared.options.clock.wallMs()));
    } else {
      this.#send(renderError(this.#encoding, error));
    }
  }

  cut(): void {
    this.#wire.response.destroy();
  }

  #send(answer: Answer): void {
    answer.headers.push(...limitHeaders(this.exchange.limits));
    send(this.#wire, answer, this.exchange.gatewayRequestId);
  }

  #count(rejectedItems: number): void {
    const { metrics } = this.#wire.shared.options.observability;
    metrics.request('http', rejectedItems > 0 ? 'partial' : 'ok');
  }
}

function bodyEncoding(contentType: string | undefined, route: Route): Encoding | undefined {
  const encoding = encodingOf(contentType);
  if (encoding !== undefined || route.door !== 'traces_api') return encoding;
  // Mibo's n8n node sends large JSON bodies under this name.
  return mediaType(contentType) === 'application/octet-stream' ? 'json' : undefined;
}

function answerHealth(wire: RequestOnWire): void {
  const { stopping } = wire.shared;
  const body = Buffer.from(JSON.stringify({ status: stopping ? 'shutting_down' : 'ok' }));
  const headers = ['Content-Type', 'application/json'];
  send(wire, { status: stopping ? 503 : 200, reason: undefined, headers, body }, undefined);
}

function postOnly(): GatewayError {
  return new GatewayError('method_not_allowed', 'use POST: this path takes nothing else');
}

type BrokenConnection = {
  readonly fault: NodeJS.ErrnoException;
  readonly socket: Duplex;
  readonly call: HttpCall | undefined;
};

/** A head that cannot be read, or a body whose framing breaks off. */
function refuseConnection(shared: Shared, { fault, socket, call }: BrokenConnection): void {
  const error = connectionError(fault);
  if (call !== undefined && !call.exchange.answered) {
    call.breakOff(error);
    return;
  }
  // A client that hangs up in the middle has nobody left to tell.
  if (!socket.writable || fault.code === 'ECONNRESET' || fault.code === eofFault) {
    socket.destroy();
    return;
  }
  const peer = 'remoteAddress' in socket ? String(socket.remoteAddress) : '';
  shared.options.observability.refusals.record(error, { protocol: 'http', peer });
  const { reason, headers, body } = renderError('json', error);
  const status = fault.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.row.http;
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\n${headers[0]}: ${headers[1]}\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

const plainPort = 'write http:// in the endpoint, not https://: this port speaks no TLS';

/** A ClientHello begins with a handshake record (RFC 8446 §5.1). */
function isTls(fault: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }): boolean {
  return fault.rawPacket?.[0] === 0x16 && fault.rawPacket[1] === 0x03;
}

function connectionError(fault: NodeJS.ErrnoException): GatewayError {
  switch (fault.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new GatewayError('deadline_exceeded', 'send the request faster: it took too long');
    case eofFault:
    case 'ECONNRESET':
      return cutOff();
    case 'HPE_HEADER_OVERFLOW':
      return new GatewayError('malformed', 'send fewer or shorter headers');
    default:
      return new GatewayError('malformed', isTls(fault) ? plainPort : 'send valid HTTP/1.1', {
        cause: fault,
      });
  }
}
