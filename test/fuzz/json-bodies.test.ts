/**
 * Mutated, truncated and hostile JSON bodies: never anything but a refusal or a protobuf message
 * that decodes, with as many spans as an independent reading of the JSON finds.
 */
import { expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { jsonToProto, parseJson, protoToJson, walkExport } from '../../src/otlp/otlp.ts';
import { loadFixtures } from '../otlp/fixtures.ts';
import { decodeRequest, spansOf } from '../otlp/reference.ts';
import { mutate } from './mutations.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';

const rounds = 40_000;

test(`${rounds} bad JSON bodies are refused, or become protobuf with the same spans`, () => {
  const random = createSeededRandom();
  console.log(`FUZZ_SEED=${random.seed}`);
  const corpus = loadFixtures()
    .filter(({ encoding, message }) => encoding === 'json' && message.length < 20_000)
    .map(({ message }) => message);
  const values = corpus.flatMap((body) => parsed(body) ?? []);
  let accepted = 0;
  for (let round = 0; round < rounds; round += 1) {
    const body =
      random.below(2) === 0
        ? mutate(random, corpus)
        : Buffer.from(JSON.stringify(twist(random.pick(values), random)));
    const verdict = judge(body);
    if (verdict === 'accepted') accepted += 1;
    else if (verdict !== 'refused') {
      expect.fail(`seed ${random.seed}, round ${round}: ${verdict}: ${body.toString('base64')}`);
    }
  }
  expect(accepted).toBeGreaterThan(rounds / 10);
  expect(accepted).toBeLessThan(rounds - rounds / 10);
});

function judge(body: Buffer): string {
  let message: Buffer;
  try {
    parseJson(body);
    message = jsonToProto(body);
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) return `threw ${thrown}`;
    return thrown.kind === 'malformed' ? 'refused' : `refused as ${thrown.kind}`;
  }
  const spans = (decodeRequest(message).resourceSpans ?? []).flatMap(spansOf).length;
  const value = JSON.parse(body.toString('utf8').replace(/^\uFEFF/, ''));
  if (isNoExport(value)) return 'is no export, and would be lost';
  const counted = countSpans(value);
  if (spans !== counted) return `has ${spans} spans instead of ${counted}`;
  if (walkExport(message, 'mibo.platform_id').items !== spans) return 'walks otherwise';
  if (!jsonToProto(protoToJson(message)).equals(message)) return 'changes on the way back';
  return 'accepted';
}

/** By hand: something stands there, but no list of resources. */
function isNoExport(body: object): boolean {
  const names = Object.entries(body).flatMap(([name, value]) => (value === null ? [] : [name]));
  return names.length > 0 && !names.some((name) => /^resource(S|_s)pans$/.test(name));
}

/** By hand: every list under every name, so that none may be left out. */
function countSpans(body: unknown): number {
  return listsOf(body, ['resourceSpans', 'resource_spans'])
    .flatMap((resource) => listsOf(resource, scopeNames))
    .flatMap((scope) => listsOf(scope, ['spans'])).length;
}

const scopeNames = [
  'scopeSpans',
  'scope_spans',
  'instrumentationLibrarySpans',
  'instrumentation_library_spans',
];

function listsOf(value: unknown, names: readonly string[]): unknown[] {
  return Object.entries(value ?? {}).flatMap(([name, list]) =>
    names.includes(name) ? (list ?? []) : [],
  );
}

function parsed(body: Buffer): unknown[] | undefined {
  try {
    return [JSON.parse(body.toString('utf8'))];
  } catch {
    return undefined;
  }
}

const odd: readonly unknown[] = [
  null,
  true,
  '',
  'ünï \ud800 🙂',
  '-1',
  '18446744073709551616',
  0,
  -1,
  1.5,
  2 ** 53,
  1e300,
  'NaN',
  [],
  [null],
  {},
  { values: [{ intValue: '9223372036854775808' }, {}, null, { stringValue: null }] },
  { arrayValue: { values: [{ kvlistValue: { values: [{ key: 'k' }] } }] } },
  { __proto__: null, toString: 1, constructor: { prototype: {} } },
];

/** A copy in which one place holds something else, is gone, or has another name too. */
function twist(value: unknown, random: SeededRandom): unknown {
  if (typeof value !== 'object' || value === null || random.below(12) === 0) {
    return random.pick(odd);
  }
  const keys = Object.keys(value);
  const chosen = random.pick(keys);
  if (chosen === undefined) return random.pick(odd);
  const inner = (value as Record<string, unknown>)[chosen];
  if (Array.isArray(value)) return value.with(Number(chosen), twist(inner, random));
  if (random.below(30) === 0) return { ...value, [chosen]: undefined };
  const snake = chosen.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const old = chosen === 'scopeSpans' ? 'instrumentationLibrarySpans' : snake;
  const name = random.below(10) === 0 ? random.pick([snake, old]) : chosen;
  return { ...value, [name]: twist(inner, random) };
}
