import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { jsonToProto, jsonValueToProto, parseJson } from '../../src/otlp/otlp.ts';
import { decodeRequest, type KeyValueObject, type SpanObject } from './reference.ts';

const ids = { traceId: '5b8efff798038103d269b633813fc60c', spanId: 'eee19b7ec3c1b174' };

function requestText(span: string): Buffer {
  return Buffer.from(`{"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`);
}

/** The span that this JSON text becomes. */
function spanOf(text: string): SpanObject {
  const [resource] = decodeRequest(jsonToProto(requestText(text))).resourceSpans ?? [];
  const [span] = resource?.scopeSpans?.[0]?.spans ?? [];
  if (!span) throw new Error('no span');
  return span;
}

function spanWith(fields: object): SpanObject {
  return spanOf(JSON.stringify({ ...ids, ...fields }));
}

/** The attribute's value that this JSON text becomes. */
function attributeValue(text: string): unknown {
  const withIds = JSON.stringify(ids).slice(0, -1);
  const { attributes } = spanOf(`${withIds},"attributes":[{"key":"k","value":${text}}]}`);
  return (attributes as KeyValueObject[])[0]?.value;
}

function refusal(text: string): GatewayError {
  try {
    jsonToProto(Buffer.from(text));
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('it was accepted');
}

function hintFor(fields: object): string {
  const error = refusal(requestText(JSON.stringify({ ...ids, ...fields })).toString());
  expect(error.kind).toBe('malformed');
  return error.hint;
}

describe('ids', () => {
  const bytes = {
    traceId: Buffer.from(ids.traceId, 'hex'),
    spanId: Buffer.from(ids.spanId, 'hex'),
  };

  test.each([
    ['in hex', ids],
    ['in upper-case hex', { traceId: ids.traceId.toUpperCase(), spanId: ids.spanId.toUpperCase() }],
    ['in base64', { traceId: 'W47/95gDgQPSabYzgT/GDA==', spanId: '7uGbfsPBsXQ=' }],
    ['in base64 without padding', { traceId: 'W47/95gDgQPSabYzgT/GDA', spanId: '7uGbfsPBsXQ' }],
    ['in the other base64', { traceId: 'W47_95gDgQPSabYzgT_GDA', spanId: '7uGbfsPBsXQ' }],
  ])('are read %s', (_name, written) => {
    expect(spanWith(written)).toMatchObject(bytes);
  });

  test('of parents may be empty or null, for root spans', () => {
    expect(spanWith({ parentSpanId: '' })).not.toHaveProperty('parentSpanId');
    expect(spanWith({ parentSpanId: null })).not.toHaveProperty('parentSpanId');
  });

  test.each([
    [{ traceId: 'abc' }, 'traceId should be 32 hex digits, but is a string of 3 characters'],
    [{ traceId: `${ids.traceId.slice(1)}x` }, 'traceId should be 32 hex digits'],
    [{ spanId: ids.traceId }, 'spanId should be 16 hex digits, but is a string of 32 characters'],
    [{ spanId: 12 }, 'spanId should be 16 hex digits, but is a number'],
    [{ parentSpanId: 'abc' }, 'parentSpanId should be 16 hex digits'],
    [{ links: [{ traceId: 'abc' }] }, 'links[0].traceId should be 32 hex digits'],
    [{ traceId: '' }, 'has no traceId: it should be 32 hex digits'],
    [{ spanId: null }, 'has no spanId: it should be 16 hex digits'],
  ])('are refused by their path: %j', (fields, what) => {
    expect(hintFor(fields)).toContain(`resourceSpans[0].scopeSpans[0].spans[0]`);
    expect(hintFor(fields)).toContain(what);
  });
});

describe('numbers', () => {
  test.each([
    ['{"intValue":"42"}', { intValue: '42' }],
    ['{"intValue":42}', { intValue: '42' }],
    ['{"intValue":42.0}', { intValue: '42' }],
    ['{"intValue":-9223372036854775808}', { intValue: '-9223372036854775808' }],
    ['{"intValue":9223372036854775807}', { intValue: '9223372036854775807' }],
    ['{"intValue":"9007199254740993"}', { intValue: '9007199254740993' }],
    ['{"intValue":9007199254740993}', { intValue: '9007199254740993' }],
    ['{"intValue":9223372036854775808}', { doubleValue: 2 ** 63 }],
    ['{"intValue":"-9223372036854775809"}', { doubleValue: -(2 ** 63) }],
    ['{"intValue":1.797e+308}', { doubleValue: 1.797e308 }],
    ['{"intValue":"1.797e+308"}', { doubleValue: 1.797e308 }],
    ['{"intValue":0.5}', { doubleValue: 0.5 }],
    [`{"intValue":${'9'.repeat(100)}}`, { doubleValue: 1e100 }],
    ['{"doubleValue":1}', { doubleValue: 1 }],
    ['{"doubleValue":"1.5"}', { doubleValue: 1.5 }],
    ['{"doubleValue":"NaN"}', { doubleValue: Number.NaN }],
    ['{"doubleValue":"-Infinity"}', { doubleValue: Number.NEGATIVE_INFINITY }],
    ['{"doubleValue":1e400}', { doubleValue: Number.POSITIVE_INFINITY }],
    ['{"doubleValue":-0.0}', { doubleValue: -0 }],
  ])('in values: %s', (text, expected) => {
    expect(attributeValue(text)).toEqual(expected);
  });

  test('of time are read as texts and as numbers, to the nanosecond', () => {
    const text = '1700000000123456789';
    expect(spanWith({ startTimeUnixNano: text })).toMatchObject({ startTimeUnixNano: text });
    const asNumber = `${JSON.stringify(ids).slice(0, -1)},"startTimeUnixNano":${text}}`;
    expect(spanOf(asNumber)).toMatchObject({ startTimeUnixNano: text });
  });

  test.each([
    ['1.700000000123456789e18', '1700000000123456789'],
    ['1700000000.123456789E+9', '1700000000123456789'],
    ['17000000001234567890e-1', '1700000000123456789'],
    ['1700000000123456789.000', '1700000000123456789'],
    ['1700000000123456800', '1700000000123456800'],
    ['1.23456789012345e18', '1234567890123450000'],
    ['1.8446744073709551615e19', '18446744073709551615'],
    ['5e0', '5'],
  ])('of time keep every digit, with an exponent too: %s', (written, expected) => {
    const prefix = `${JSON.stringify(ids).slice(0, -1)},"startTimeUnixNano":`;
    expect(spanOf(`${prefix}${written}}`)).toMatchObject({ startTimeUnixNano: expected });
    expect(spanOf(`${prefix}"${written}"}`)).toMatchObject({ startTimeUnixNano: expected });
  });

  test.each(['-0', '-0.0', '0e999999999999', '0.000'])('a zero is a zero: %s', (written) => {
    expect(attributeValue(`{"intValue":${written}}`)).toEqual({ intValue: '0' });
    expect(attributeValue(`{"intValue":"${written}"}`)).toEqual({ intValue: '0' });
  });

  test('of millions of digits are refused', () => {
    const digits = '1'.repeat(20_000_000);
    const prefix = `${JSON.stringify(ids).slice(0, -1)},"startTimeUnixNano":`;
    expect(refusal(requestText(`${prefix}${digits}}`).toString()).hint).toContain('whole number');
    expect(refusal(requestText(`${prefix}"${digits}"}`).toString()).hint).toContain('whole number');
  });

  test('of 32 bits are read as texts and as numbers', () => {
    expect(spanWith({ flags: '257', droppedEventsCount: 7 })).toMatchObject({
      flags: 257,
      droppedEventsCount: 7,
    });
  });

  test.each([
    [{ startTimeUnixNano: -1 }, 'should be a whole number from 0 to 18446744073709551615'],
    [{ startTimeUnixNano: 'soon' }, 'should be a whole number, but is a string of 4 characters'],
    [{ startTimeUnixNano: 1.5 }, 'should be a whole number, but is a number'],
    [{ startTimeUnixNano: '17e-1' }, 'should be a whole number, but is a string of 5 characters'],
    [{ startTimeUnixNano: '1e99999999999' }, 'should be a whole number from 0 to'],
    [{ startTimeUnixNano: '1.8446744073709551616e19' }, 'should be a whole number from 0 to'],
    [{ flags: 2 ** 32 }, 'should be a whole number from 0 to 4294967295'],
    [{ droppedLinksCount: {} }, 'should be a whole number, but is an object'],
    [{ attributes: [{ value: { intValue: 'many' } }] }, 'intValue should be a whole number'],
    [
      { attributes: [{ value: { doubleValue: true } }] },
      'doubleValue should be a number, but is true',
    ],
  ])('are refused where they do not fit: %j', (fields, what) => {
    expect(hintFor(fields)).toContain(what);
  });
});

describe('what real clients write beyond the specification is read:', () => {
  test('enums as names, as numbers, and not at all', () => {
    expect(spanWith({ kind: 'SPAN_KIND_CLIENT' })).toMatchObject({ kind: 3 });
    expect(spanWith({ kind: 3 })).toMatchObject({ kind: 3 });
    expect(spanWith({ kind: 99 })).toMatchObject({ kind: 99 });
    expect(spanWith({})).not.toHaveProperty('kind');
    expect(spanWith({ status: { code: 'STATUS_CODE_ERROR' } })).toMatchObject({
      status: { code: 2 },
    });
    expect(hintFor({ kind: 'CLIENT' })).toContain('spans[0].kind should be a whole number');
  });

  test('snake_case names', () => {
    const snake =
      '{"resource_spans":[{"scope_spans":[{"spans":[{' +
      `"trace_id":"${ids.traceId}","span_id":"${ids.spanId}","start_time_unix_nano":"5"}]}]}]}`;
    const [resource] = decodeRequest(jsonToProto(Buffer.from(snake))).resourceSpans ?? [];
    expect(resource?.scopeSpans?.[0]?.spans).toMatchObject([{ startTimeUnixNano: '5' }]);
    expect(spanWith({ droppedEventsCount: null, dropped_events_count: 2 })).toMatchObject({
      droppedEventsCount: 2,
    });
    expect(spanWith({ events: [{}], events_: 1 })).toMatchObject({ events: [{}] });
  });

  test.each([
    ['instrumentationLibrarySpans', 'instrumentationLibrary'],
    ['instrumentation_library_spans', 'instrumentation_library'],
  ])('the names of scopes before OTLP 0.15: %s', (scopes, scope) => {
    const old = { [scopes]: [{ [scope]: { name: 'lib' }, spans: [ids] }] };
    const text = JSON.stringify({ resourceSpans: [old] });
    const [resource] = decodeRequest(jsonToProto(Buffer.from(text))).resourceSpans ?? [];
    expect(resource?.scopeSpans).toMatchObject([{ scope: { name: 'lib' }, spans: [{}] }]);
  });

  test.each([
    ['{}', {}],
    ['{"value":{}}', {}],
    ['null', undefined],
    ['{"doubleValue":null}', {}],
    ['{"stringValue":null,"boolValue":false}', { boolValue: false }],
    ['{"stringValue":"a","boolValue":true}', { boolValue: true }],
    ['{"boolValue":true,"stringValue":"a"}', { stringValue: 'a' }],
    ['{"arrayValue":{}}', { arrayValue: {} }],
    ['{"arrayValue":{"values":[{},null]}}', { arrayValue: { values: [{}, {}] } }],
    ['{"kvlistValue":{"values":[{"key":"a"}]}}', { kvlistValue: { values: [{ key: 'a' }] } }],
    ['{"bytesValue":"AP8="}', { bytesValue: Buffer.from([0, 255]) }],
    ['{"bytesValue":"-_8"}', { bytesValue: Buffer.from([0xfb, 0xff]) }],
    ['{"bytesValue":""}', { bytesValue: Buffer.alloc(0) }],
    ['{"stringValue":"\\ud800"}', { stringValue: '\ufffd' }],
  ])('a value %s', (text, expected) => {
    expect(attributeValue(text)).toEqual(expected);
  });

  test('unknown fields, which are left out', () => {
    const span = '{"__proto__":{"kind":3},"constructor":1,"toString":{},"futureField":[1],';
    expect(spanOf(span + JSON.stringify(ids).slice(1))).toEqual({
      traceId: Buffer.from(ids.traceId, 'hex'),
      spanId: Buffer.from(ids.spanId, 'hex'),
    });
  });

  test('null for every list and message', () => {
    const fields = { attributes: null, events: null, status: null, name: null };
    expect(Object.keys(spanWith(fields))).toEqual(['traceId', 'spanId']);
  });
});

describe('bytes that are no base64 are refused by their path:', () => {
  test.each(['A', 'A=', 'A==', 'AAAAA', 'AAAAA==', 'A===', 'AA AA', 'AA=A', 'ü'])('%s', (text) => {
    const fields = { attributes: [{ value: { bytesValue: text } }] };
    expect(hintFor(fields)).toContain('attributes[0].value.bytesValue should be base64, but is');
  });
});

describe('a body is refused', () => {
  test.each([
    ['[]', 'the body should be an object, but is a list'],
    ['null', 'the body should be an object, but is null'],
    ['"x"', 'the body should be an object, but is a string of 1 characters'],
    ['12345678901234567890', 'the body should be an object, but is a number'],
    ['{"resourceSpans":{}}', 'resourceSpans should be a list, but is an object'],
    ['{"resourceSpans":[1]}', 'resourceSpans[0] should be an object, but is a number'],
    ['{"resourceSpans":[{},{"resource":[]}]}', 'resourceSpans[1].resource should be an object'],
    ['{"resourceSpans":[{"schemaUrl":1}]}', 'resourceSpans[0].schemaUrl should be a string'],
  ])('by the path of what is wrong: %s', (text, what) => {
    const error = refusal(text);
    expect(error.hint).toContain(`send OTLP/JSON: ${what}`);
    expect(error.details).toMatchObject([{ location: 'body', type: 'field' }]);
  });

  test.each([
    ['{"resourceLogs":[{}]}', /^set OTEL_LOGS_EXPORTER=none.*holds logs/],
    ['{"resource_metrics":[{}]}', /^set OTEL_METRICS_EXPORTER=none.*holds metrics/],
    ['{"resourceSpans":[],"resourceLogs":[{}]}', /holds logs/],
  ])('if it holds another signal, which would be lost: %s', (text, hint) => {
    expect(refusal(text).hint).toMatch(hint);
  });

  test.each([
    ['{"hello":"world"}', ''],
    ['{"resourceSpans":null,"resource":{}}', ''],
    ['{"scopeSpans":[]}', ''],
    ['{"spans":[{"name":"a"}]}', ' to POST /public/traces'],
    ['{"spans":[],"resource_spans":null}', ' to POST /public/traces'],
  ])('if it has no resourceSpans, so that nothing is lost: %s', (text, place) => {
    const error = refusal(text);
    expect(error.kind).toBe('malformed');
    expect(error.hint).toMatch(place ? /^send flat spans/ : /^send OTLP\/JSON/);
    expect(error.hint).toContain('{"resourceSpans": [...]}');
    expect(error.hint.slice(0, 120)).toContain(place);
    expect(error.details).toMatchObject([{ path: 'resourceSpans' }]);
    expect(() => jsonValueToProto(parseJson(Buffer.from(text)))).toThrowError(error.message);
  });

  test.each([
    ['{"resourceSpans":[],"resource_spans":[]}', 'resourceSpans'],
    ['{"resourceSpans":[{},{"scope_spans":[],"scopeSpans":[]}]}', 'resourceSpans[1].scopeSpans'],
    [
      '{"resourceSpans":[{"instrumentationLibrarySpans":[],"scopeSpans":[]}]}',
      'resourceSpans[0].scopeSpans',
    ],
    [
      requestText(
        JSON.stringify({ ...ids, attributes: [{ value: { intValue: 1, int_value: 2 } }] }),
      ).toString(),
      'spans[0].attributes[0].value.intValue',
    ],
    [
      requestText(
        '{"attributes":[{"value":{"intValue":1,"boolValue":true,"int_value":2}}],' +
          JSON.stringify(ids).slice(1),
      ).toString(),
      'spans[0].attributes[0].value.intValue',
    ],
  ])('if a field is there under two names, of which one would be lost: %s', (text, path) => {
    const error = refusal(text);
    expect(error.hint).toContain(`${path} is there under two names`);
    expect(error.hint).toMatch(/^send OTLP\/JSON: /);
  });

  test('if its values nest deeper than protobuf decoders go', () => {
    const deep = (levels: number) =>
      '{"arrayValue":{"values":['.repeat(levels) + ']}}'.repeat(levels);
    expect(attributeValue(deep(47))).toBeTruthy();
    const attributes = `"attributes":[{"value":${deep(100_000)}}]`;
    const error = refusal(
      requestText(`${JSON.stringify(ids).slice(0, -1)},${attributes}}`).toString(),
    );
    expect(error.hint).toContain('nested too deep');
  });

  test('without showing what stands in it', () => {
    expect(hintFor({ name: { secret: 'mibo_secret' } })).not.toContain('mibo_secret');
    expect(hintFor({ startTimeUnixNano: 'mibo_secret' })).not.toContain('mibo_secret');
  });
});

test('a parsed value becomes the same protobuf as its text', () => {
  const text = requestText(JSON.stringify({ ...ids, endTimeUnixNano: '7', name: 'a' }));
  expect(jsonValueToProto(parseJson(text))).toEqual(jsonToProto(text));
});

test.each([
  '{}',
  '{"resourceSpans":[]}',
  '{"resource_spans":[]}',
  '{"resourceSpans":[],"futureField":1}',
  '{"resourceSpans":null}',
  '{"spans":null,"resourceLogs":null}',
])('an empty request, with null for what is not there: %s', (text) => {
  expect(jsonToProto(Buffer.from(text))).toHaveLength(0);
});
