/** Which target a resource names, by protobuf's merge rules. */
import { describe, expect, test } from 'vitest';
import { walkExport } from '../../src/otlp/otlp.ts';
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
const scope = scopeSpans(span());

function walked(...content: readonly Buffer[]) {
  const [only] = walkExport(resourceSpans(...content), key).resources;
  if (!only) throw new Error('no resource');
  return only;
}

function target(...content: readonly Buffer[]) {
  return walked(...content).target;
}

function named(value: string) {
  return { kind: 'named', value };
}

const absent = { kind: 'absent' };

function valued(...members: readonly Buffer[]): Buffer {
  return resource(field(1, field(1, key), field(2, ...members)));
}

describe('a string is named as it stands', () => {
  test('in any case, UUID or not', () => {
    expect(target(resource(textAttribute(key, 'Support-Bot')), scope)).toEqual(
      named('Support-Bot'),
    );
  });

  test('with the scopes first and the value before the key, as the Collector writes', () => {
    const backwards = field(1, field(2, field(1, 'a')), field(1, key));
    expect(target(scope, resource(backwards))).toEqual(named('a'));
  });

  test('cut short where it is too long to be an id', () => {
    const value = 'x'.repeat(10_000);
    expect(target(resource(textAttribute(key, value)), scope)).toEqual(named('x'.repeat(256)));
  });
});

describe('nothing is named', () => {
  test.each([
    ['without a resource', scope],
    ['with an empty resource', resource()],
    ['by an empty string', resource(textAttribute(key, ''))],
    ['by an empty value', valued()],
    ['by an attribute without a value', resource(field(1, field(1, key)))],
    ["by another signal's string index", valued(tag(8, 0), varint(1))],
    ['by a longer key', resource(textAttribute(`${key}s`, 'a'))],
    ['by a key in another case', resource(textAttribute('mibo.platform_ID', 'a'))],
  ])('%s', (_name, content) => {
    expect(target(content, scope)).toEqual(absent);
  });

  test('by an attribute of the scope or of a span', () => {
    const elsewhere = field(3, field(1, key), field(2, field(1, 'a')));
    const ofSpan = field(9, field(1, key), field(2, field(1, 'a')));
    expect(target(scopeSpans(field(1, elsewhere), span(ofSpan)))).toEqual(absent);
  });
});

describe('what is not a string is described for a person', () => {
  const double = Buffer.alloc(8);
  double.writeDoubleLE(1.5);
  test.each([
    ['the integer 42', valued(tag(3, 0), varint(42))],
    ['the integer -1', valued(tag(3, 0), Buffer.alloc(9, 0xff), varint(1))],
    ['true', valued(tag(2, 0), varint(1))],
    ['false', valued(tag(2, 0), varint(0))],
    ['the number 1.5', valued(tag(4, 1), double)],
    ['a list', valued(field(5))],
    ['a map', valued(field(6))],
    ['bytes', valued(field(7, 'a'))],
  ])('%s', (found, content) => {
    expect(target(content, scope)).toEqual({ kind: 'unusable', found });
  });
});

describe('of several the last one counts', () => {
  const [a, b] = [textAttribute(key, 'a'), textAttribute(key, 'b')];

  test('among attributes', () => {
    expect(target(resource(a, b), scope)).toEqual(named('b'));
    expect(target(resource(a, textAttribute(key, '')), scope)).toEqual(absent);
  });

  test('among Resource fields, which merge', () => {
    expect(target(resource(a), scope, resource(b))).toEqual(named('b'));
    expect(target(resource(a), scope, resource())).toEqual(named('a'));
  });

  test('among the keys of one attribute', () => {
    const value = field(2, field(1, 'a'));
    expect(target(resource(field(1, field(1, 'x'), value, field(1, key))), scope)).toEqual(
      named('a'),
    );
    expect(target(resource(field(1, field(1, key), value, field(1, 'x'))), scope)).toEqual(absent);
  });

  test('among the members of a value, also where values merge', () => {
    const number = Buffer.concat([tag(3, 0), varint(7)]);
    expect(target(valued(field(1, 'a'), number), scope)).toMatchObject({ kind: 'unusable' });
    expect(target(valued(number, field(1, 'a')), scope)).toEqual(named('a'));
    const merging = field(1, field(1, key), field(2, field(1, 'a')), field(2));
    expect(target(resource(merging), scope)).toEqual(named('a'));
  });
});

describe('an attribute is plain', () => {
  test('if it stands there once, with a key and a string', () => {
    expect(walked(resource(textAttribute(key, 'a')), scope).plain).toBe(true);
    expect(walked(resource(field(1, field(2, field(1, 'a')), field(1, key))), scope).plain).toBe(
      true,
    );
  });

  test.each([
    ['twice', resource(textAttribute(key, 'a'), textAttribute(key, 'a'))],
    ['with an unknown field', resource(field(1, field(1, key), field(2, field(1, 'a')), field(9)))],
    ['with two strings', valued(field(1, 'b'), field(1, 'a'))],
    ['with two keys', resource(field(1, field(1, key), field(1, key), field(2, field(1, 'a'))))],
  ])('but not %s', (_name, content) => {
    expect(walked(content, scope)).toMatchObject({ plain: false, target: named('a') });
  });
});
