/**
 * grpc.health.v1: whether this gateway takes calls. Needs no key; says nothing else.
 * https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { IncomingRequest } from '../core/incoming.ts';
import { decodeHealthRequest, encodeHealthStatus, signals } from '../otlp/otlp.ts';
import { framed, type GrpcCall } from './grpc-call.ts';

export type GrpcHealth = {
  /** The paths that this serves, and how. */
  readonly methods: ReadonlyMap<string, (call: GrpcCall) => void>;
  /** Its messages name one service at most, and come without a key. */
  readonly messageBytesMax: number;
  /** Tells the watchers, and lets them go. */
  stop(): void;
};

const services = new Set(['', signals.traces.grpcService]);
const statusNotFound = '5';
const statusUnavailable = '14';

export function createGrpcHealth(): GrpcHealth {
  const watchers = new Set<ServerHttp2Stream>();

  function check(call: GrpcCall): void {
    call.run(serviceOf, (service) => {
      if (services.has(service)) return call.succeed(encodeHealthStatus('SERVING'));
      call.fail({ 'grpc-status': statusNotFound, 'grpc-message': 'ask for the empty service' });
    });
  }

  function watch(call: GrpcCall): void {
    call.run(serviceOf, (service) => {
      const { stream } = call;
      if (stream.destroyed || stream.closed) return;
      watchers.add(stream);
      stream.once('close', () => watchers.delete(stream));
      stream.respond(call.responseHeaders(), { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': statusUnavailable }));
      const known = services.has(service);
      stream.write(framed(encodeHealthStatus(known ? 'SERVING' : 'SERVICE_UNKNOWN')));
    });
  }

  return {
    methods: new Map([
      ['/grpc.health.v1.Health/Check', check],
      ['/grpc.health.v1.Health/Watch', watch],
    ]),
    messageBytesMax: 4096,
    stop() {
      for (const stream of watchers) stream.end(framed(encodeHealthStatus('NOT_SERVING')));
    },
  };
}

async function serviceOf(request: IncomingRequest): Promise<string> {
  return decodeHealthRequest((await request.readBody()).message);
}
