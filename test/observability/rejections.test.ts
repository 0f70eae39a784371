/** The last refused requests of each key. */
import { expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { createObservability } from '../../src/observability/observability.ts';

function observed() {
  const observability = createObservability({ level: 'silent' });
  const refuse = (keyId: string | undefined, hint: string, protocol: 'grpc' | 'http' = 'http') => {
    const error = new GatewayError('platform_not_found', hint);
    error.keyId = keyId;
    error.traceId = 'ab'.repeat(16);
    observability.refusals.record(error, { protocol, peer: '192.0.2.1' });
  };
  return { ...observability, refuse };
}

test('a refused request of a key is kept as its client saw it', () => {
  const { refuse, rejections } = observed();
  const before = Date.now();
  refuse('key-1', 'name an agent');
  refuse('key-1', 'name an agent', 'grpc');
  const [newest, oldest] = rejections.of('key-1');
  expect(oldest).toEqual({
    atMs: expect.any(Number),
    protocol: 'http',
    status: 400,
    reason: 'platform_not_found',
    hint: 'name an agent',
    traceId: 'ab'.repeat(16),
    count: 1,
  });
  expect(oldest?.atMs).toBeGreaterThanOrEqual(before);
  expect(newest).toMatchObject({ protocol: 'grpc', status: 3 });
  expect(rejections.of('key-2')).toEqual([]);
});

test('a request of which a part was refused is kept beside them, as a success', () => {
  const { refusals, rejections, metrics } = observed();
  const error = new GatewayError('platform_not_allowed', 'use another agent');
  const tenant = { keyId: 'key-1' };
  refusals.partial(error, { request: { protocol: 'http', peer: '192.0.2.1' }, tenant });
  refusals.partial(error, { request: { protocol: 'grpc', peer: '192.0.2.1' }, tenant });
  expect(rejections.of('key-1')).toMatchObject([
    { protocol: 'grpc', status: 0, reason: 'platform_not_allowed' },
    { protocol: 'http', status: 200, reason: 'platform_not_allowed' },
  ]);
  return expect(metrics.text()).resolves.not.toContain('platform_not_allowed');
});

test('the same refusal again is counted, and pushes nothing out', () => {
  const { refuse, rejections } = observed();
  refuse('key-1', 'first');
  for (let i = 0; i < 1_000; i += 1) refuse('key-1', 'again');
  expect(rejections.of('key-1').map(({ hint, count }) => [hint, count])).toEqual([
    ['again', 1_000],
    ['first', 1],
  ]);
});

test('twenty are kept of each key, and only of the thousand keys refused last', () => {
  const { refuse, rejections } = observed();
  for (let i = 0; i < 25; i += 1) refuse('key-1', `mistake ${i}`);
  expect(rejections.of('key-1').map(({ hint }) => hint)).toEqual(
    Array.from({ length: 20 }, (_, i) => `mistake ${24 - i}`),
  );
  for (let i = 0; i < 999; i += 1) refuse(`other-${i}`, 'mistake');
  expect(rejections.of('key-1')).toHaveLength(20);
  refuse('key-1', 'once more');
  refuse('one-too-many', 'mistake');
  expect(rejections.of('key-1')).toHaveLength(20);
  expect(rejections.of('other-0')).toEqual([]);
  expect(rejections.of('other-1')).toHaveLength(1);
});

test('a request without a known key is kept for nobody', () => {
  const { refuse, rejections } = observed();
  refuse(undefined, 'use another key');
  expect(rejections.of('undefined')).toEqual([]);
});
