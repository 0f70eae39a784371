import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { type WalkedExport, walkExport } from '../../src/otlp/otlp.ts';
import { encodeRequest, requestType } from './reference.ts';
import {
  field,
  requestWith,
  resource,
  resourceSpans,
  scopeSpans,
  span,
  spanId,
  tag,
  textAttribute,
  traceId,
  varint,
} from './wire.ts';

function walk(message: Buffer): WalkedExport {
  return walkExport(message, 'mibo.platform_id');
}

function refusal(message: Buffer): GatewayError {
  try {
    walk(message);
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('it was accepted');
}

function hint(message: Buffer): string {
  const error = refusal(message);
  expect(error.kind).toBe('malformed');
  return error.hint;
}

function accepts(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

describe('a well-formed body', () => {
  test('of 0 bytes is an empty request', () => {
    expect(walk(Buffer.alloc(0))).toMatchObject({ resources: [], items: 0 });
  });

  test('says where its resources stand and how many spans each has', () => {
    const first = resourceSpans(scopeSpans(span(), span()), scopeSpans(span()));
    const second = resourceSpans(scopeSpans(span()), resource(textAttribute('a', 'b')));
    const { resources, items } = walk(Buffer.concat([first, second]));
    expect(items).toBe(4);
    expect(resources).toMatchObject([
      { start: 0, end: first.length, items: 3 },
      { start: first.length, end: first.length + second.length, items: 1 },
    ]);
  });

  test('may hold resources without spans, which do not appear', () => {
    const empty = resourceSpans(resource(textAttribute('a', 'b')), scopeSpans());
    const { resources, hasIgnored } = walk(Buffer.concat([empty, requestWith(), empty]));
    expect(resources).toMatchObject([{ start: empty.length, items: 1 }]);
    expect(hasIgnored).toBe(true);
  });

  test('may hold unknown fields of every wire type, groups included', () => {
    const group = Buffer.concat([
      tag(90, 3),
      tag(1, 0),
      varint(7),
      tag(91, 3),
      tag(91, 4),
      tag(90, 4),
    ]);
    const unknown = [field(99, 'x'), tag(98, 0), varint(5), tag(97, 1), Buffer.alloc(8), group];
    const fixed = Buffer.concat([tag(96, 5), Buffer.alloc(4)]);
    const everywhere = requestWith(...unknown, fixed);
    expect(walk(Buffer.concat([everywhere, ...unknown, fixed])).items).toBe(1);
  });

  test('may write tags, lengths and numbers longer than necessary', () => {
    const longTag = Buffer.from([0x8a, 0x80, 0x80, 0x80, 0x00]);
    const content = scopeSpans(span(tag(6, 0), Buffer.from([0x81, 0x80, 0x80, 0x80, 0x80, 0x00])));
    const longSize = Buffer.from([content.length | 0x80, 0x80, 0x00]);
    expect(walk(Buffer.concat([longTag, longSize, content])).items).toBe(1);
  });

  test('may have a known field with another wire type, which is then an unknown one', () => {
    expect(walk(requestWith(tag(5, 0), varint(1), field(7, 'not fixed64'))).items).toBe(1);
  });

  test('has the last of repeated ids', () => {
    expect(walk(requestWith(field(1, 'short'), field(1, traceId))).items).toBe(1);
    expect(hint(requestWith(field(1, 'short')))).toContain('a trace id of 5 bytes');
  });

  test('may have ids of zeros', () => {
    const zeros = field(2, field(1, Buffer.alloc(16)), field(2, Buffer.alloc(8)));
    expect(walk(resourceSpans(scopeSpans(zeros))).items).toBe(1);
  });
});

describe('a malformed body is refused, with the byte and the reason:', () => {
  test.each([
    [
      'cut off in a field',
      requestWith().subarray(0, -1),
      'the body is cut off in a field at byte 2',
    ],
    [
      'cut off in a tag',
      Buffer.concat([requestWith(), Buffer.from([0x80])]),
      'the body is cut off',
    ],
    [
      'a field beyond its message',
      resourceSpans(scopeSpans(field(2, tag(1, 2), varint(60)), field(1))),
      'a field is longer than its message at byte 8',
    ],
    ['text that is not UTF-8', requestWith(field(5, Buffer.from([0xc3]))), 'a text is not UTF-8'],
    [
      'long text that is not UTF-8',
      requestWith(field(5, Buffer.alloc(500, 'a'), Buffer.from([0xed, 0xa0, 0x80]))),
      'a text is not UTF-8',
    ],
    ['field number 0', requestWith(tag(0, 0), varint(1)), 'a field has the number 0'],
    ['wire type 7', requestWith(tag(5, 7)), 'the unknown wire type 7'],
    ['an end without a group', requestWith(tag(50, 4)), 'the unknown wire type 4'],
    [
      'a group closed by another',
      requestWith(tag(50, 3), tag(51, 4)),
      'a group is closed by another field',
    ],
    ['an open group', requestWith(tag(50, 3)), 'the body is cut off'],
    [
      'an endless number',
      requestWith(tag(6, 0), Buffer.alloc(10, 0x80), varint(0)),
      'a number is longer than ten bytes',
    ],
    ['a tag of 33 bits', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x10]), 'out of range'],
    ['a length of 32 bits', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x08]), 'out of range'],
  ])('%s', (_name, message, reason) => {
    expect(() => requestType.decode(message)).toThrowError();
    expect(hint(message)).toContain(reason);
    expect(hint(message)).toMatch(/^send a valid protobuf trace export \(.* at byte \d+\)$/);
  });
});

describe('nesting', () => {
  /** An attribute of a span whose list in a list … makes the innermost message `depth` deep. */
  function nested(depth: number): Buffer {
    let value: Buffer = Buffer.alloc(0);
    // Request 0, resource 1, scope 2, span 3, attribute 4, its value 5; then list, value, …
    for (let level = depth; level > 5; level -= 1) value = field(level % 2 === 0 ? 5 : 1, value);
    return requestWith(field(9, field(1, 'k'), field(2, value)));
  }

  test('goes as deep as protobuf decoders go', () => {
    expect(walk(nested(100)).items).toBe(1);
    expect(requestType.decode(nested(100))).toBeTruthy();
  });

  test('of messages is refused one level deeper', () => {
    expect(() => requestType.decode(nested(101))).toThrowError();
    expect(hint(nested(101))).toContain('messages are nested too deep');
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a string', field(1, 'a')],
    ['an integer', Buffer.concat([tag(3, 0), varint(7)])],
    ['an unknown field', field(50)],
  ])('is judged as protobufjs does wherever maps and lists end in %s', (_name, leaf) => {
    for (const lists of [0, 1, 2]) {
      for (const maps of [29, 30, 31, 32, 33]) {
        let value: Buffer = leaf;
        for (let count = 0; count < maps; count += 1) value = field(6, field(1, field(2, value)));
        for (let count = 0; count < lists; count += 1) value = field(5, field(1, value));
        const message = requestWith(field(9, field(2, value)));
        expect(accepts(() => walk(message))).toBe(accepts(() => requestType.decode(message)));
      }
    }
  });

  test('of groups is refused too', () => {
    const open = Array.from({ length: 200_000 }, () => tag(50, 3));
    expect(hint(Buffer.concat(open))).toContain('groups are nested too deep');
  });
});

describe('ids of a wrong length are refused with the place of the span:', () => {
  const place = 'resourceSpans[1].scopeSpans[0].spans[1]';

  test.each([
    ['no trace id', field(2, field(2, spanId)), 'no trace id'],
    ['a short trace id', field(2, field(1, spanId), field(2, spanId)), 'a trace id of 8 bytes'],
    ['no span id', field(2, field(1, traceId)), 'no span id'],
    ['a long span id', span(field(2, traceId)), 'a span id of 16 bytes'],
    ['a short parent id', span(field(4, 'abc')), 'a parent span id of 3 bytes'],
  ])('%s', (_name, broken, what) => {
    const message = Buffer.concat([requestWith(), resourceSpans(scopeSpans(span(), broken))]);
    expect(hint(message)).toContain(`${place} at byte`);
    expect(hint(message)).toContain(`has ${what}`);
    expect(hint(message)).toMatch(/^give every span a trace id of 16 bytes/);
  });

  test('and the first 120 characters, which are all that some exporters show, say enough', () => {
    const shown = hint(requestWith(field(4, 'abc'))).slice(0, 120);
    expect(shown).toContain('give every span a trace id of 16 bytes and a span id of 8');
    expect(shown).toContain('logs or metrics sent as traces look like this too');
  });

  test('an empty parent id is a root span', () => {
    expect(walk(requestWith(field(4))).items).toBe(1);
  });
});

describe('a body in the wrong place is refused with the cure:', () => {
  const good = requestWith(field(5, 'name'.repeat(50)));

  test('gzip without Content-Encoding', () => {
    expect(hint(gzipSync(good))).toMatch(/^set Content-Encoding: gzip/);
  });

  test('zstd without Content-Encoding', () => {
    expect(hint(zstdCompressSync(good))).toMatch(/^set Content-Encoding: zstd/);
  });

  test('JSON as protobuf', () => {
    const json = Buffer.from('{"resourceSpans":[{"resource":{}}]}');
    expect(hint(json)).toMatch(/^set Content-Type: application\/json/);
  });

  const time = Buffer.concat([tag(1, 1), Buffer.alloc(8, 0xf1)]);
  const logBody = field(5, field(1, 'something happened'));

  test('plain logs, which decode as spans without ids', () => {
    const logs = resourceSpans(scopeSpans(field(2, time, tag(2, 0), varint(9), logBody)));
    expect(requestType.decode(logs)).toBeTruthy();
    expect(hint(logs)).toMatch(/^set OTEL_LOGS_EXPORTER=none.*this body holds logs/);
  });

  test('logs with trace context, which do not decode', () => {
    const logs = resourceSpans(scopeSpans(field(2, time, logBody, field(9, traceId))));
    expect(() => requestType.decode(logs)).toThrowError();
    expect(hint(logs)).toMatch(/^set OTEL_LOGS_EXPORTER=none.*this body holds logs/);
  });

  test('metrics', () => {
    const point = field(1, tag(3, 1), Buffer.alloc(8, 0xf1), tag(4, 1), Buffer.alloc(8, 0xe2));
    const gauge = field(2, field(1, 'http.requests'), field(3, '1'), field(5, point));
    expect(hint(resourceSpans(scopeSpans(gauge)))).toMatch(
      /^set OTEL_METRICS_EXPORTER=none.*this body holds metrics/,
    );
  });

  test('but broken spans are not taken for another signal', () => {
    const broken = encodeRequest({
      resourceSpans: [
        { scopeSpans: [{ spans: [{ name: 'a', startTimeUnixNano: '1', kind: 2 }] }] },
      ],
    });
    expect(hint(broken)).toMatch(/^give every span/);
  });
});

describe('spans that nothing here would see are refused, for they would be lost:', () => {
  test.each([
    ['unknown fields and no resource', Buffer.concat([field(2, 'x'), tag(3, 0), varint(1)])],
    ['field 1 with another wire type', Buffer.concat([tag(1, 0), varint(1)])],
  ])('%s', (_name, message) => {
    expect(requestType.decode(message)).toBeTruthy();
    expect(hint(message)).toMatch(/^send a trace export/);
    expect(walk(Buffer.concat([message, resourceSpans()])).items).toBe(0);
  });

  test.each([
    ['alone', resourceSpans(field(1000, field(2, field(1, traceId))))],
    ['empty', resourceSpans(field(1000))],
    ['beside spans', resourceSpans(scopeSpans(span()), field(1000, 'x'), scopeSpans(span()))],
  ])('the scopes of OTLP before 0.15: %s', (_name, removed) => {
    expect(requestType.decode(removed)).toBeTruthy();
    const message = Buffer.concat([requestWith(), removed, requestWith()]);
    expect(hint(message)).toMatch(/^update the exporter: instrumentation_library_spans/);
    expect(hint(message)).toContain(`resourceSpans[1]`);
  });

  test('but the same number elsewhere, or with another wire type, is any unknown field', () => {
    const elsewhere = field(1000, 'x');
    const number = Buffer.concat([tag(1000, 0), varint(1)]);
    const inside = requestWith(elsewhere, field(9, elsewhere));
    expect(walk(Buffer.concat([inside, elsewhere, resourceSpans(number)])).items).toBe(1);
    expect(walk(resourceSpans(field(3, 'schema'), field(99, 'x'))).hasIgnored).toBe(true);
  });
});

describe('a hostile body', () => {
  test('of more than 100,000 resources is too large, whatever its bytes', () => {
    const many = Buffer.concat(Array.from({ length: 100_001 }, () => requestWith()));
    expect(refusal(many)).toMatchObject({ kind: 'payload_too_large' });
  });

  test('of millions of resources without spans costs no memory', () => {
    const many = Buffer.alloc(4_000_000, Buffer.from([0x0a, 0x00]));
    const before = process.memoryUsage().heapUsed;
    expect(walk(many)).toMatchObject({ resources: [], items: 0, hasIgnored: true });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000);
  });

  test('of millions of unknown fields costs no memory', () => {
    const many = Buffer.alloc(4_000_000, Buffer.from([0x78, 0x00]));
    const message = Buffer.concat([resourceSpans(), many]);
    expect(walk(message).unknownRanges).toEqual([2, 4_000_002]);
  });

  test('cannot make the hint longer than it may be', () => {
    expect(hint(Buffer.alloc(1000, 0xff)).length).toBeLessThan(481);
  });
});
