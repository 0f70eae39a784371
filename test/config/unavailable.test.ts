import { describe, expect, test } from 'vitest';
import { entries } from '../../src/config/schema.ts';
import { unavailable } from '../../src/config/unavailable.ts';
import { load, problemsOf } from './configs.ts';

/** Each feature that this version does not have, switched on. */
const switchedOn = [
  'receivers.otlp.protocols.grpc.tls.cert_file=x',
  'receivers.otlp.protocols.http.tls.min_version="1.3"',
  'receivers.otlp.protocols.http.cors.allowed_origins=["*"]',
  'signals.metrics=forward',
  'signals.logs=forward',
  'auth.store.kind=postgres',
  'auth.store.url=postgres://h/d',
  'auth.redis.url=redis://h',
  'auth.cache.ttl=1m',
  'limits.per_key.spans_per_second=1',
  'limits.unknown_key_failures_per_minute_per_ip=60',
  'delivery.mode=durable',
  'delivery.sending_queue.when_full=drop_oldest',
  'delivery.dead_letters.max_size_mib=1',
  'downstream.tls.ca_file=x',
  'admin.endpoint=127.0.0.1:8080',
  'admin.token=x',
  'telemetry.traces.endpoint=http://h:4318',
];

describe('features that this version does not have', () => {
  test.each(switchedOn)('%s is refused with what to do instead', (set) => {
    const problems = problemsOf({ sets: [set] });
    expect(problems.map(({ path }) => path)).toEqual([set.split('=')[0]]);
    expect(problems[0]?.expected).toContain('this version has it not yet');
    expect(problems[0]?.hint).not.toBe('');
  });

  test('every row of the table is tried here and names something in the schema', () => {
    for (const { path } of unavailable) {
      expect(entries.map((entry) => entry.path.join('.'))).toContain(path);
      expect(switchedOn.some((set) => set.startsWith(path))).toBe(true);
    }
  });

  test('written at their defaults they are fine', () => {
    load({
      sets: [
        'receivers.otlp.protocols.grpc.tls={}',
        'auth.redis.url=',
        'auth.cache.ttl=300s',
        'limits.per_key.spans_per_second=0',
        'admin.endpoint=',
        'signals.metrics=reject',
      ],
    });
  });

  test('nothing else is told about a setting that is refused anyway', () => {
    expect(problemsOf({ sets: ['admin.endpoint=:4317'] })).toHaveLength(1);
  });

  test('a wrong type is told as such', () => {
    const [problem] = problemsOf({ sets: ['auth.cache.ttl=5'] });
    expect(problem?.expected).toContain('a duration');
  });

  test('what exists can be chosen', () => {
    load({ sets: ['delivery.mode=memory', 'signals.traces=reject', 'auth.mode=passthrough'] });
  });
});
