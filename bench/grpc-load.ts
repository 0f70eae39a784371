/**
 * OTLP over gRPC as cheaply as it can be sent: HTTP/2 frames written to plain sockets, within the
 * windows that the peer grants. Much cheaper than node:http2, so that one core of load keeps one
 * core of gateway busy.
 */

import { type GrpcConnectionOptions, openGrpcConnection } from './grpc-connection.ts';
import {
  type LoadClient,
  Phase,
  type PhaseResult,
  type RequestForm,
  type Target,
} from './load-client.ts';

export async function createGrpcLoad(target: Target): Promise<LoadClient> {
  const options = grpcOptionsOf(target);
  const connections = await Promise.all(
    Array.from({ length: target.connections }, () => openGrpcConnection(options)),
  );
  return {
    run: (durationMs) =>
      new Promise<PhaseResult>((resolve) => {
        const phase = new Phase({ payloads: target.payloads, durationMs }, resolve);
        for (const connection of connections) connection.start(phase, target.streams);
      }),
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

/** What one connection to this target sends. */
export function grpcOptionsOf(target: RequestForm): GrpcConnectionOptions {
  const messages = target.payloads.map(({ body }) => {
    const prefix = Buffer.alloc(5);
    prefix[0] = target.compression === 'identity' ? 0 : 1;
    prefix.writeUInt32BE(body.length, 1);
    return Buffer.concat([prefix, body]);
  });
  return { port: target.port, fields: fieldsOf(target), messages };
}

function fieldsOf(target: RequestForm): [string, string][] {
  return [
    [':path', '/opentelemetry.proto.collector.trace.v1.TraceService/Export'],
    [':authority', `127.0.0.1:${target.port}`],
    ['content-type', 'application/grpc'],
    ['user-agent', 'OTel-OTLP-Exporter-Python/1.39.0 grpc-python/1.76.0 grpc-c/51.0.0'],
    ['te', 'trailers'],
    ['grpc-accept-encoding', 'identity, deflate, gzip'],
    ...(target.compression === 'identity'
      ? []
      : [['grpc-encoding', target.compression] as [string, string]]),
    ['x-api-key', target.apiKey],
  ];
}
