import { describe, expect, test } from 'vitest';
import { type AgentShare, splitByAgent, walkExport } from '../../src/otlp/otlp.ts';
import { decodeRequest, spansOf } from './reference.ts';
import {
  field,
  resource,
  resourceSpans,
  scopeSpans,
  span,
  tag,
  textAttribute,
  varint,
} from './wire.ts';

const key = 'mibo.platform_id';
const agentA = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const agentB = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';

function split(message: Buffer, agentOf: readonly (string | undefined)[]): AgentShare[] {
  return splitByAgent(message, walkExport(message, key), agentOf);
}

function bytesOf({ body, bodyBytes }: AgentShare): Buffer {
  const bytes = Buffer.concat(body);
  expect(bytes.length).toBe(bodyBytes);
  return bytes;
}

function onlyShare(message: Buffer, agentOf: readonly (string | undefined)[]): Buffer {
  const [share, ...others] = split(message, agentOf);
  expect(others).toEqual([]);
  if (!share) throw new Error('no share');
  return bytesOf(share);
}

/** One resource with one span whose name tells it apart. */
function named(name: string, ...attributes: readonly Buffer[]): Buffer {
  return resourceSpans(resource(...attributes), scopeSpans(span(field(5, name))));
}

function spanNames(message: Buffer): unknown[] {
  return (decodeRequest(message).resourceSpans ?? []).flatMap(spansOf).map(({ name }) => name);
}

const ofA = textAttribute(key, agentA);
const ofB = textAttribute(key, agentB);
const service = textAttribute('service.name', 'shop');

describe('the message goes out as it came, byte for byte,', () => {
  test('when its only agent stands in it already', () => {
    const message = Buffer.concat([
      named('1', ofA),
      field(99, 'unknown'),
      named('2', service, ofA),
    ]);
    const [share] = split(message, [agentA, agentA]);
    expect(share).toMatchObject({ agentId: agentA, items: 2, untouched: true });
    expect(share?.body).toEqual([message]);
  });

  test("when the next hop decides (agent '')", () => {
    const empty = resourceSpans(resource(ofB));
    const message = Buffer.concat([named('1'), empty, named('2', ofB)]);
    const [share] = split(message, ['', '']);
    expect(share).toMatchObject({ agentId: '', items: 2, untouched: true });
    expect(share?.body).toEqual([message]);
  });

  test('but not when the id stands there in upper case', () => {
    const message = named('1', textAttribute(key, agentA.toUpperCase()));
    expect(onlyShare(message, [agentA])).toEqual(named('1', ofA));
  });
});

describe('stamping', () => {
  test('adds the agent behind the other attributes', () => {
    expect(onlyShare(named('1', service), [agentA])).toEqual(named('1', service, ofA));
  });

  test('replaces every entry that names a target, whatever it holds', () => {
    const odd = field(1, field(1, 'x'), field(2, tag(3, 0), varint(7)), field(1, key));
    const message = named('1', ofB, service, odd, ofA);
    expect(onlyShare(message, [agentA])).toEqual(named('1', service, ofA));
  });

  test('makes a resource where there is none', () => {
    const scope = scopeSpans(span());
    expect(onlyShare(resourceSpans(scope), [agentA])).toEqual(resourceSpans(resource(ofA), scope));
  });

  test('leaves exactly one entry where Resource fields merge', () => {
    const scope = scopeSpans(span());
    const message = resourceSpans(resource(ofB, service), scope, resource(ofB));
    expect(onlyShare(message, [agentA])).toEqual(
      resourceSpans(resource(service, ofA), scope, resource()),
    );
  });

  test('keeps fields that nothing here knows, where they stand', () => {
    const unknown = [field(60, 'x'), Buffer.concat([tag(61, 0), varint(300)])];
    const scope = scopeSpans(span(...unknown));
    const message = resourceSpans(...unknown, scope, resource(...unknown, ofB), field(3, 'schema'));
    expect(onlyShare(message, [agentA])).toEqual(
      resourceSpans(...unknown, scope, resource(...unknown, ofA), field(3, 'schema')),
    );
  });

  test('writes lengths anew when they grow by a byte', () => {
    const message = named('x'.repeat(40), service);
    expect(message.length).toBeLessThan(128);
    const stamped = onlyShare(message, [agentA]);
    expect(stamped.length).toBeGreaterThan(130);
    expect(decodeRequest(stamped).resourceSpans?.[0]?.resource?.attributes).toHaveLength(2);
  });
});

describe('several agents', () => {
  const message = Buffer.concat([
    named('1', ofA),
    named('2', ofB),
    field(99, 'unknown'),
    named('3', ofA),
    named('4', ofA),
    named('5'),
  ]);

  test('each get their own, in the order in which they appear', () => {
    const shares = split(message, [agentA, agentB, agentA, agentA, agentB]);
    expect(shares.map(({ agentId, items }) => [agentId, items])).toEqual([
      [agentA, 3],
      [agentB, 2],
    ]);
    expect(shares.map((share) => spanNames(bytesOf(share)))).toEqual([
      ['1', '3', '4'],
      ['2', '5'],
    ]);
  });

  test('each get the top-level fields that nothing here knows', () => {
    for (const share of split(message, [agentA, agentB, agentA, agentA, agentB])) {
      expect(bytesOf(share).includes(field(99, 'unknown'))).toBe(true);
      expect(share.untouched).toBe(false);
    }
  });

  test('get slices of what came, joined where they touch', () => {
    const [share] = split(message, [agentA, agentB, agentA, agentA, agentB]);
    expect(share?.body).toEqual([
      named('1', ofA),
      Buffer.concat([named('3', ofA), named('4', ofA)]),
      field(99, 'unknown'),
    ]);
    for (const piece of share?.body.slice(0, 2) ?? []) expect(piece.buffer).toBe(message.buffer);
  });

  test('get nothing of what is left out', () => {
    expect(onlyShare(message, [undefined, agentB, undefined, undefined, undefined])).toEqual(
      Buffer.concat([named('2', ofB), field(99, 'unknown')]),
    );
    expect(split(message, Array(5).fill(undefined))).toEqual([]);
  });

  test('cannot multiply a body by its unknown fields', () => {
    const big = Buffer.concat([message, field(99, Buffer.alloc(70_000))]);
    expect(() => split(big, [agentA, agentB, agentA, agentA, agentB])).toThrowError(
      expect.objectContaining({
        kind: 'malformed',
        hint: expect.stringMatching(/^send one agent/),
      }),
    );
    expect(split(big, Array(5).fill(agentA))).toHaveLength(1);
  });
});

test('a resource without spans does not go out under the name of another agent', () => {
  const message = Buffer.concat([named('1', ofA), resourceSpans(resource(ofB))]);
  expect(onlyShare(message, [agentA])).toEqual(named('1', ofA));
});
