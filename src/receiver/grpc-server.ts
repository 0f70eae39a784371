/**
 * OTLP/gRPC on node:http2: unary Export, with the message bytes as they came, and health.
 *
 * A call is decided by its metadata first: its stream stays paused, so that at most one flow
 * control window of it is ever held unread. Every answer to a gRPC call is HTTP 200 with a
 * grpc-status: some exporters turn a bare HTTP error into INTERNAL and drop the spans.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  constants,
  createServer,
  type Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { GatewayError } from '../core/errors.ts';
import { encodeExportResponse, type Signal, signals } from '../otlp/otlp.ts';
import { refuseOrCut, type Shared } from './exchange.ts';
import { type CallOnWire, GrpcCall, grpcHeaders } from './grpc-call.ts';
import { createGrpcHealth, type GrpcHealth } from './grpc-health.ts';
import { streamWindowBytes, superviseSession } from './grpc-session.ts';
import { notServed } from './http-routes.ts';
import type { HttpHandler } from './http-server.ts';
import { renderGrpcError } from './respond.ts';

export type GrpcServer = {
  /** Never listens itself: connections are handed to it. */
  readonly server: Http2Server;
  /** GOAWAY to all: calls on their way are still answered, then each connection ends itself. */
  goAway(): void;
};

/** What all connections share. */
type Served = {
  readonly shared: Shared;
  readonly http: HttpHandler;
  readonly health: GrpcHealth;
};

const headerListBytesMax = 16 * 1024;

export function createGrpcServer(shared: Shared, http: HttpHandler): GrpcServer {
  const served: Served = { shared, http, health: createGrpcHealth() };
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({
    settings: {
      initialWindowSize: streamWindowBytes,
      maxConcurrentStreams: shared.options.grpc.concurrentStreamsMax,
      maxHeaderListSize: headerListBytesMax,
    },
    // Rapid reset: a client may give up this many calls at once, and so many a second on.
    streamResetBurst: 1000,
    streamResetRate: 100,
  });
  function take(session: ServerHttp2Session): void {
    superviseSession(session, shared.options);
    const socketAddress = session.socket.remoteAddress;
    session.on('stream', (stream, headers, ...[, raw]) => {
      stream.on('error', ignore);
      const peer = shared.clientAddressOf(socketAddress, headers);
      const wire = { stream, headers, raw: raw as unknown as string[], peer };
      try {
        serve(served, wire);
      } catch (thrown) {
        fail(shared, wire, thrown);
      }
    });
  }
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    try {
      take(session);
    } catch {
      // It was over before it began.
      session.destroy();
    }
  });
  return {
    server,
    goAway() {
      served.health.stop();
      for (const session of sessions) session.close();
    },
  };
}

function serve({ shared, http, health }: Served, wire: CallOnWire): void {
  const { stream, headers } = wire;
  // Given up in the same breath: nobody would be told of its `close` any more.
  if (stream.destroyed || stream.closed) return;
  const contentType = headers['content-type'];
  if (!isGrpc(contentType)) {
    // node:http2's own classes for what is written against node:http.
    const request: unknown = new Http2ServerRequest(stream, headers, {}, wire.raw);
    const response: unknown = new Http2ServerResponse(stream);
    http(request as IncomingMessage, response as ServerResponse);
    return;
  }
  // CONNECT has none.
  const path = headers[':path'] ?? '';
  const healthMethod = health.methods.get(path);
  const { messageBytesMax } = shared.options.grpc;
  const bytesMax = healthMethod === undefined ? messageBytesMax : health.messageBytesMax;
  const call = new GrpcCall(shared, wire, bytesMax);
  if (!isProtobuf(contentType)) call.exchange.refuse(otherSerialisation());
  else if (path === signals.traces.grpcPath) exportTraces(shared, call);
  else if (healthMethod !== undefined) healthMethod(call);
  else call.exchange.refuse(unknownMethod(path));
}

function exportTraces({ options }: Shared, call: GrpcCall): void {
  call.run(
    (request) => options.ingest.exportRequest(request),
    (result) => {
      const { metrics } = options.observability;
      metrics.request('grpc', result.rejectedItems > 0 ? 'partial' : 'ok');
      call.succeed(encodeExportResponse('proto', result));
    },
  );
}

/** A fault of ours before there was an exchange that could answer. */
function fail({ options }: Shared, { stream, peer }: CallOnWire, thrown: unknown): void {
  const close = () => stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  refuseOrCut(thrown, {
    refuse(error) {
      options.observability.refusals.record(error, { protocol: 'grpc', peer });
      if (stream.headersSent) close();
      else stream.respond({ ...grpcHeaders, ...renderGrpcError(error) }, { endStream: true });
    },
    cut: close,
  });
}

/** Whether the client reads a grpc-status, be it one of the variants that are not served. */
function isGrpc(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^application\/grpc/i.test(contentType);
}

function isProtobuf(contentType: string): boolean {
  if (contentType === 'application/grpc') return true;
  return /^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType);
}

function otherSerialisation(): GatewayError {
  return new GatewayError(
    'unsupported_media_type',
    'set content-type to application/grpc: other forms of gRPC are not spoken here',
  );
}

function unknownMethod(path: string): GatewayError {
  const isOther = (signal: Signal) => path.startsWith(`/${signal.grpcService}/`);
  const signal = [signals.metrics, signals.logs].find(isOther);
  if (signal !== undefined) return notServed(signal.cure);
  return new GatewayError(
    'not_found',
    `call ${signals.traces.grpcPath}: there is nothing at this path`,
  );
}

/** A stream's `close` follows; whoever reads it hears of that. */
function ignore(): void {}
