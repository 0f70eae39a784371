/** The .proto files load with the loader of gRPC clients too, and agree with the signal table. */
import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import { expect, test } from 'vitest';
import { signals } from '../../src/otlp/otlp.ts';

const includeDirs = [join(import.meta.dirname, '../../proto')];

test('the traces service is where the signal table says', () => {
  const { httpPath, grpcService, grpcPath, cure } = signals.traces;
  const loaded = loadSync('opentelemetry/proto/collector/trace/v1/trace_service.proto', {
    includeDirs,
  });
  expect(loaded[grpcService]).toMatchObject({ Export: { path: grpcPath } });
  expect([httpPath, cure]).toEqual(['/v1/traces', 'set OTEL_TRACES_EXPORTER=none']);
});

test('the health service and the statuses load', () => {
  const files = [
    'grpc/health/v1/health.proto',
    'google/rpc/status.proto',
    'google/rpc/error_details.proto',
  ];
  const loaded = loadSync(files, { includeDirs });
  expect(loaded['grpc.health.v1.Health']).toMatchObject({
    Check: { path: '/grpc.health.v1.Health/Check' },
  });
  expect(loaded).toHaveProperty(['google.rpc.Status']);
  expect(loaded).toHaveProperty(['google.rpc.RetryInfo']);
});
