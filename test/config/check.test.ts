import { describe, expect, test } from 'vitest';
import { load, problemsOf } from './configs.ts';

const grpc = 'receivers.otlp.protocols.grpc';
const http = 'receivers.otlp.protocols.http';

describe('listeners', () => {
  test.each([
    [':4317', true],
    ['127.0.0.1:4317', true],
    ['"[::]:4317"', true],
    ['0.0.0.0:4316', false],
  ])('HTTP on %s beside gRPC on 0.0.0.0:4317 collides: %s', (endpoint, collides) => {
    const sets = [`${http}.endpoint=${endpoint}`];
    if (!collides) return void load({ sets });
    expect(problemsOf({ sets })).toMatchObject([{ path: `${http}.endpoint` }]);
    expect(problemsOf({ sets })[0]?.expected).toContain(`${grpc}.endpoint (0.0.0.0:4317)`);
  });

  test('the same port on two addresses, and port 0 twice, are no collision', () => {
    load({ sets: [`${grpc}.endpoint=127.0.0.1:9`, `${http}.endpoint=127.0.0.2:9`] });
    load({ sets: [`${grpc}.endpoint=127.0.0.1:0`, `${http}.endpoint=127.0.0.1:0`] });
  });

  test('localhost is 127.0.0.1', () => {
    const sets = [`${grpc}.endpoint=127.0.0.1:9`, `${http}.endpoint=localhost:9`];
    expect(problemsOf({ sets }).map(({ path }) => path)).toEqual([`${http}.endpoint`]);
  });
});

test.each([
  `${grpc}.max_recv_msg_size_mib`,
  `${http}.max_request_body_size_mib`,
  'receivers.traces_api.max_request_body_size_mib',
])('%s must fit into limits.in_flight_mib', (name) => {
  load({ sets: [`${name}=256`] });
  expect(problemsOf({ sets: [`${name}=257`] })).toMatchObject([{ path: name, value: 257 }]);
});

test.each([
  ['limits.admission_wait=9s', 'limits.admission_wait=10s'],
  [
    'delivery.retry_on_failure.initial_interval=30s',
    'delivery.retry_on_failure.initial_interval=31s',
  ],
])('%s is fine and %s is longer than what it is part of', (good, bad) => {
  load({ sets: [good] });
  expect(problemsOf({ sets: [bad] })).toHaveLength(1);
});

test.each(['/', '/v1', '/v1/', '/v1/traces', '/v1/anything', '/health', '/health/'])(
  'Your API cannot be served at %s',
  (path) => {
    const name = 'receivers.traces_api.path';
    expect(problemsOf({ sets: [`${name}=${path}`] })[0]?.path).toBe(name);
  },
);

test('Your API can be served at paths that only begin alike', () => {
  for (const path of ['/v1x', '/v10/traces', '/healthy', '/a/v1/traces']) {
    load({ sets: [`receivers.traces_api.path=${path}`] });
  }
});

test('key and agent cannot share a header', () => {
  const sets = ['routing.header=X-Api-Key'];
  expect(problemsOf({ sets })).toMatchObject([{ path: 'routing.header', value: 'x-api-key' }]);
});
