/**
 * The receivers: bytes in, OTLP answers out, over gRPC and HTTP, and Your API.
 *
 * Promise: every request is answered by its deadline, exactly once, as protocol.md's table says.
 * The key is checked before any byte of the body is read or inflated. Memory for bodies is taken
 * from the shared budget before it is used and given back when the journey is over. A client that
 * goes away leaves nothing behind.
 *
 * Any door: each port speaks both protocols. Whatever starts with the HTTP/2 preface is gRPC, or
 * OTLP/HTTP over HTTP/2; everything else is HTTP/1.1.
 *
 * Does not know keys, agents or spans: `ingest` decides, this room reads and renders.
 */
import type { Budget } from '../core/budget.ts';
import type { Clock } from '../core/clock.ts';
import type { Ingest } from '../core/incoming.ts';
import type { Observability } from '../observability/observability.ts';
import { createClientAddressOf } from './client-address.ts';
import type { Shared } from './exchange.ts';
import { createGrpcServer } from './grpc-server.ts';
import { streamWindowBytes } from './grpc-session.ts';
import { createHttpServer } from './http-server.ts';
import { createListener, type Listener } from './listener.ts';
import { createAdmission } from './room.ts';

export type ReceiverOptions = {
  readonly grpc: {
    readonly host: string;
    readonly port: number;
    readonly messageBytesMax: number;
    readonly concurrentStreamsMax: number;
    readonly keepalive: KeepaliveOptions;
  };
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly bodyBytesMax: number;
    readonly readHeaderTimeoutMs: number;
    /** For the whole body; the request's deadline usually comes first. */
    readonly readTimeoutMs: number;
  };
  readonly tracesApi: {
    readonly enabled: boolean;
    readonly path: string;
    readonly bodyBytesMax: number;
  };
  /** `x-api-key` by default. */
  readonly apiKeyHeader: string;
  /** `x-mibo-platform-id` by default. */
  readonly platformHeader: string;
  readonly budget: Budget;
  /** How long a request waits for room in memory before it is refused. */
  readonly admissionWaitMs: number;
  readonly requestDeadlineMs: number;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly clock: Clock;
  readonly observability: Observability;
  readonly ingest: Ingest;
};

/** Of HTTP/2 connections. */
export type KeepaliveOptions = {
  /** Older connections are asked to go (±10 %), so that load balancers spread clients. */
  readonly connectionAgeMaxMs: number;
  /** What requests on such a connection have left to end in. */
  readonly connectionAgeGraceMs: number;
  /** A connection idle for this long is pinged. */
  readonly timeMs: number;
  /** A ping unanswered for this long ends the connection. */
  readonly timeoutMs: number;
};

export type Receiver = {
  /** Opens both ports; resolves with the ports in use. Rejects if one cannot be opened. */
  start(): Promise<{ readonly grpcPort: number; readonly httpPort: number }>;
  /**
   * Accepts no more, ends what is being read for up to `graceMs`, then closes everything: a client
   * that does not close its connection itself takes a second of that at most.
   */
  stop(graceMs: number): Promise<void>;
};

/** What clients get to close their connections once their requests are answered. */
const leaveMs = 1000;

export function createReceiver(options: ReceiverOptions): Receiver {
  const admission = createAdmission(options.budget, {
    waitMs: options.admissionWaitMs,
    unreadBytesMax: streamWindowBytes,
  });
  const clientAddressOf = createClientAddressOf(options.trustedProxies);
  const shared: Shared = {
    options,
    admission,
    clientAddressOf,
    stopping: false,
    active: 0,
    onIdle: undefined,
  };
  const http = createHttpServer(shared);
  const grpc = createGrpcServer(shared, http.handle);
  const servers = { http1: http.server, http2: grpc.server };
  const listenerOf = (at: { readonly host: string; readonly port: number }): Listener =>
    createListener({
      at,
      servers,
      clock: options.clock,
      firstByteTimeoutMs: options.http.readHeaderTimeoutMs,
      acceptFailed: (fault) => options.observability.log.error({ err: fault }, 'accept failed'),
    });
  const [grpcListener, httpListener] = [listenerOf(options.grpc), listenerOf(options.http)];

  return {
    async start() {
      const grpcPort = await grpcListener.listen();
      try {
        return { grpcPort, httpPort: await httpListener.listen() };
      } catch (thrown) {
        await grpcListener.close();
        throw thrown;
      }
    },
    async stop(graceMs) {
      shared.stopping = true;
      const closed = Promise.all([grpcListener.close(), httpListener.close()]);
      const passed = (delayMs: number) =>
        new Promise<void>((resolve) => {
          const cancel = options.clock.after(delayMs, resolve);
          closed.then(cancel);
        });
      const graceOver = passed(graceMs);
      grpc.goAway();
      await Promise.race([idle(shared), closed, graceOver]);
      http.closeIdle();
      await Promise.race([closed, graceOver, passed(leaveMs)]);
      grpcListener.destroy();
      httpListener.destroy();
      await closed;
      http.close();
    },
  };
}

function idle(shared: Shared): Promise<void> {
  if (shared.active === 0) return Promise.resolve();
  return new Promise((resolve) => {
    shared.onIdle = resolve;
  });
}
