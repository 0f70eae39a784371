import { expect, test } from 'vitest';
import { summarizeTraces } from '../../src/otlp/otlp.ts';
import { encodeRequest } from './reference.ts';

const attribute = 'mibo.platform_id';
const [first, second] = [Buffer.alloc(16, 1), Buffer.alloc(16, 2)];
const [root, child] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)];

function resource(agentId: string, service: string) {
  return {
    attributes: [
      { key: attribute, value: { stringValue: 'overwritten' } },
      { key: 'service.name', value: { stringValue: service } },
      { key: attribute, value: { stringValue: agentId } },
    ],
  };
}

function span(traceId: Buffer, spanId: Buffer, rest: object) {
  return { traceId, spanId, ...rest };
}

test('each trace is told in a line: agent, service, spans, root and duration', () => {
  const spans = [
    span(first, child, {
      parentSpanId: root,
      name: 'tool',
      startTimeUnixNano: 2e6,
      endTimeUnixNano: 9e6,
    }),
    span(first, root, { name: 'agent.run', startTimeUnixNano: 1e6, endTimeUnixNano: 8.5e6 }),
  ];
  const lost = [
    span(second, child, { parentSpanId: root, name: 'late', startTimeUnixNano: 5e6 }),
    span(second, root, { parentSpanId: child, name: 'early', startTimeUnixNano: 4e6 }),
  ];
  const message = encodeRequest({
    resourceSpans: [
      { resource: resource('a', 'shop'), scopeSpans: [{ spans }] },
      { scopeSpans: [{ spans: lost }] },
    ],
  });
  expect(summarizeTraces(message, attribute)).toEqual([
    {
      traceId: first.toString('hex'),
      agentId: 'a',
      service: 'shop',
      spans: 2,
      rootName: 'agent.run',
      durationMs: 8,
    },
    {
      traceId: second.toString('hex'),
      agentId: '',
      service: '',
      spans: 2,
      rootName: 'early',
      durationMs: undefined,
    },
  ]);
});

test('an empty export has no traces', () => {
  expect(summarizeTraces(Buffer.alloc(0), attribute)).toEqual([]);
});
