/** Random exports with every field of OTLP 1.11, for property tests. */
import fc from 'fast-check';
import type { RequestObject } from './reference.ts';

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', 'a'.repeat(300)),
);
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function list<T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.array(item, { maxLength: 3 });
}

/** Objects in which any field may be missing. */
function partial<T extends Record<string, fc.Arbitrary<unknown>>>(fields: T) {
  return fc.record(fields, { requiredKeys: [] });
}

const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant({}),
    fc.record({ stringValue: text }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: int64 }),
    fc.record({ doubleValue: fc.double() }),
    fc.record({ bytesValue: fc.uint8Array() }),
    fc.record({ stringValueStrindex: fc.integer() }),
    fc.record({ arrayValue: partial({ values: list(tie('value')) }) }),
    fc.record({
      kvlistValue: partial({ values: list(partial({ key: text, value: tie('value') })) }),
    }),
  ),
}));

const attributes = list(partial({ key: text, value, keyStrindex: fc.integer() }));
const platform = fc.record({
  key: fc.constant('mibo.platform_id'),
  value: fc.oneof(
    fc.record({ stringValue: fc.constant('7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c') }),
    value,
  ),
});
const resourceAttributes = fc
  .tuple(attributes, fc.array(platform, { maxLength: 2 }), attributes)
  .map((parts) => parts.flat());

const event = partial({
  timeUnixNano: uint64,
  name: text,
  attributes,
  droppedAttributesCount: uint32,
});

const link = partial({
  traceId: bytes(16),
  spanId: bytes(8),
  traceState: text,
  attributes,
  droppedAttributesCount: uint32,
  flags: uint32,
});

const span = fc.record(
  {
    traceId: bytes(16),
    spanId: bytes(8),
    traceState: text,
    parentSpanId: bytes(8),
    flags: uint32,
    name: text,
    kind: fc.nat({ max: 7 }),
    startTimeUnixNano: uint64,
    endTimeUnixNano: uint64,
    attributes,
    droppedAttributesCount: uint32,
    events: list(event),
    droppedEventsCount: uint32,
    links: list(link),
    droppedLinksCount: uint32,
    status: partial({ message: text, code: fc.nat({ max: 3 }) }),
  },
  { requiredKeys: ['traceId', 'spanId'] },
);

const resource = partial({
  attributes: resourceAttributes,
  droppedAttributesCount: uint32,
  entityRefs: list(
    partial({ schemaUrl: text, type: text, idKeys: list(text), descriptionKeys: list(text) }),
  ),
});

const scope = partial({ name: text, version: text, attributes, droppedAttributesCount: uint32 });

const resourceSpans = partial({
  resource,
  scopeSpans: list(partial({ scope, spans: list(span), schemaUrl: text })),
  schemaUrl: text,
});

export const exports: fc.Arbitrary<RequestObject> = fc
  .array(resourceSpans, { maxLength: 5 })
  .map((list) => ({ resourceSpans: list }) as RequestObject);
