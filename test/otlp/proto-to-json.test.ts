import { describe, expect, test } from 'vitest';
import { jsonToProto, protoToJson } from '../../src/otlp/otlp.ts';
import { loadFixture } from './fixtures.ts';
import { encodeRequest } from './reference.ts';
import {
  field,
  requestWith,
  resource,
  resourceSpans,
  scopeSpans,
  span,
  tag,
  textAttribute,
  varint,
} from './wire.ts';

type Json = Record<string, unknown>;

function jsonOf(message: Buffer): Json {
  return JSON.parse(protoToJson(message).toString());
}

/** The JSON of an attribute value, as text. */
function valueText(value: object): string {
  const attributes = [{ key: 'k', value }];
  const text = protoToJson(encodeRequest({ resourceSpans: [{ resource: { attributes } }] }));
  return /"value":(.*)}]}}]}$/.exec(text.toString())?.[1] ?? '';
}

test('every field and every kind of value is written as the specification says', () => {
  const proto = loadFixture('edge-everything').message;
  const canonical = loadFixture('edge-everything-json').message;
  expect(jsonOf(proto)).toEqual(JSON.parse(canonical.toString()));
  expect(jsonToProto(canonical)).toEqual(proto);
});

test('an empty request is an empty object', () => {
  expect(protoToJson(Buffer.alloc(0)).toString()).toBe('{}');
});

describe('values', () => {
  test.each([
    [{ intValue: '-9223372036854775808' }, '{"intValue":"-9223372036854775808"}'],
    [{ intValue: 0 }, '{"intValue":"0"}'],
    [{ doubleValue: 0.1 }, '{"doubleValue":0.1}'],
    [{ doubleValue: -0 }, '{"doubleValue":-0.0}'],
    [{ doubleValue: Number.NaN }, '{"doubleValue":"NaN"}'],
    [{ doubleValue: Number.NEGATIVE_INFINITY }, '{"doubleValue":"-Infinity"}'],
    [{ bytesValue: Buffer.from([0, 255]) }, '{"bytesValue":"AP8="}'],
    [{ stringValue: '' }, '{"stringValue":""}'],
    [{ boolValue: false }, '{"boolValue":false}'],
    [{ arrayValue: { values: [{}] } }, '{"arrayValue":{"values":[{}]}}'],
    [{}, '{}'],
  ])('%j becomes %s', (value, text) => {
    expect(valueText(value)).toBe(text);
  });
});

describe("protobuf's merge rules hold:", () => {
  test('the last of repeated scalars counts, also where it is the default', () => {
    expect(jsonOf(requestWith(field(5, 'a'), field(5, 'b')))).toMatchObject({
      resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'b' }] }] }],
    });
    expect(protoToJson(requestWith(field(5, 'a'), field(5))).toString()).not.toContain('"name"');
  });

  test('messages merge, lists grow', () => {
    const message = resourceSpans(
      resource(textAttribute('a', '1')),
      scopeSpans(span()),
      resource(textAttribute('b', '2'), tag(2, 0), varint(3)),
    );
    expect(jsonOf(message)).toMatchObject({
      resourceSpans: [
        { resource: { attributes: [{ key: 'a' }, { key: 'b' }], droppedAttributesCount: 3 } },
      ],
    });
  });

  test('the last member of a oneof counts', () => {
    const number = Buffer.concat([tag(3, 0), varint(7)]);
    const attribute = field(1, field(1, 'k'), field(2, field(1, 'a')), field(2, number));
    expect(jsonOf(resourceSpans(resource(attribute)))).toEqual({
      resourceSpans: [{ resource: { attributes: [{ key: 'k', value: { intValue: '7' } }] } }],
    });
  });

  test('unknown fields are left out', () => {
    const unknown = [field(99, 'x'), field(7, 'another wire type')];
    expect(jsonOf(requestWith(...unknown))).toEqual(jsonOf(requestWith()));
  });
});

test('bytes that are no export are refused, and so are bottomless ones', () => {
  const malformed = expect.objectContaining({ kind: 'malformed' });
  expect(() => protoToJson(Buffer.from([0x0a, 0x05]))).toThrowError(malformed);
  let value: Buffer = Buffer.alloc(0);
  for (let count = 0; count < 20_000; count += 1) value = field(5, field(1, value));
  const bottomless = resourceSpans(resource(field(1, field(2, value))));
  expect(() => protoToJson(bottomless)).toThrowError(malformed);
});
