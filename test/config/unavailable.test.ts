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
  'delivery.mode=durable',
  'delivery.sending_queue.when_full=drop_oldest',
  'delivery.dead_letters.max_size_mib=1',
  'downstream.tls.ca_file=x',
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
        'delivery.sending_queue.max_size_mib=4096',
        'telemetry.traces.endpoint=',
        'signals.metrics=reject',
      ],
    });
  });

  test('nothing else is told about a setting that is refused anyway', () => {
    const sets = ['receivers.otlp.protocols.grpc.tls.cert_file=x'];
    expect(problemsOf({ sets })).toHaveLength(1);
  });

  test('a wrong type is told as such', () => {
    const sets = ['receivers.otlp.protocols.http.cors.max_age=5'];
    expect(problemsOf({ sets })[0]?.expected).toContain('a duration');
  });

  test('what exists can be chosen', () => {
    load({ sets: ['delivery.mode=memory', 'signals.traces=reject', 'auth.mode=passthrough'] });
  });
});
