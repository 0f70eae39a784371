/** The trace that a refused request is about. */
import { expect, test } from 'vitest';
import { firstTraceId } from '../../src/otlp/otlp.ts';
import { field, requestWith, resourceSpans, scopeSpans, spanId, traceId } from './wire.ts';

const hex = traceId.toString('hex');

test('is the one of the first span that has one, whatever stands before it', () => {
  const bare = resourceSpans(field(3, 'schema'), scopeSpans(field(2, field(2, spanId))));
  expect(firstTraceId(requestWith())).toBe(hex);
  expect(
    firstTraceId(Buffer.concat([field(99, 'new'), resourceSpans(), bare, requestWith()])),
  ).toBe(hex);
});

test('is absent where no span has one of 16 bytes', () => {
  const short = resourceSpans(scopeSpans(field(2, field(1, traceId.subarray(1)))));
  for (const message of [Buffer.alloc(0), resourceSpans(), short]) {
    expect(firstTraceId(message)).toBeUndefined();
  }
});

test('is found in a body that is malformed behind it, and in no other', () => {
  const whole = requestWith();
  expect(firstTraceId(Buffer.concat([whole, Buffer.from([0x0a, 0x05])]))).toBe(hex);
  for (let length = 1; length < whole.length; length += 1) {
    expect(firstTraceId(whole.subarray(0, length))).toBeUndefined();
  }
  expect(firstTraceId(Buffer.from('{"resourceSpans":[]}'))).toBeUndefined();
});
