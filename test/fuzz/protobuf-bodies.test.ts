/**
 * Mutated, truncated and hostile protobuf bodies: the walk accepts exactly what protobufjs decodes
 * and what keeps the rules of `extraRules`, counts the same spans and finds the same targets.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import type { NamedTarget } from '../../src/core/target.ts';
import { splitByAgent, type WalkedExport, walkExport } from '../../src/otlp/otlp.ts';
import { loadFixtures } from '../otlp/fixtures.ts';
import {
  type AnyValueObject,
  decodeRequest,
  hasRemovedScopes,
  hasWholeIds,
  type RequestObject,
  type ResourceSpansObject,
  spansOf,
} from '../otlp/reference.ts';
import { mutate, randomFields } from './mutations.ts';
import { createSeededRandom, type SeededRandom } from './seeded-random.ts';

const attribute = 'mibo.platform_id';
const agentA = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const rounds = 60_000;

/** How many bodies broke each extra rule. */
const breaches = new Map<string, number>();

test(`${rounds} bad protobuf bodies are judged as protobufjs judges them`, () => {
  const random = createSeededRandom();
  console.log(`FUZZ_SEED=${random.seed}`);
  const corpus = loadFixtures()
    .filter(({ encoding, message }) => encoding === 'proto' && message.length > 0)
    .map(({ message }) => message);
  let accepted = 0;
  for (let round = 0; round < rounds; round += 1) {
    const body = random.below(4) === 0 ? hostileExport(random) : mutate(random, corpus);
    const expected = reference(body);
    const verdict = judge(body, expected);
    if (verdict !== undefined) {
      expect.fail(`seed ${random.seed}, round ${round}: ${verdict}: ${body.toString('base64')}`);
    }
    accepted += expected ? 1 : 0;
  }
  for (const rule of Object.keys(extraRules)) {
    expect(breaches.get(rule), `bodies that break: ${rule}`).toBeGreaterThan(100);
  }
  // A fuzzer whose every body dies early would prove nothing.
  expect(accepted).toBeGreaterThan(rounds / 10);
  expect(accepted).toBeLessThan(rounds - rounds / 10);
});

type Rule = (decoded: RequestObject, body: Buffer) => boolean;

/** What a body has to keep besides protobuf's own rules. */
const extraRules: Readonly<Record<string, Rule>> = {
  'every span has whole ids': ({ resourceSpans = [] }) =>
    resourceSpans.flatMap(spansOf).every(hasWholeIds),
  'what is not empty has resource spans': ({ resourceSpans = [] }, body) =>
    body.length === 0 || resourceSpans.length > 0,
  'no resource has the scopes of OTLP before 0.15': (_decoded, body) => !hasRemovedScopes(body),
};

/** What protobufjs makes of a body; undefined if it does not decode or breaks an extra rule. */
function reference(body: Buffer): RequestObject | undefined {
  let decoded: RequestObject;
  try {
    decoded = decodeRequest(body);
  } catch {
    return undefined;
  }
  const broken = Object.entries(extraRules).find(([, keeps]) => !keeps(decoded, body));
  if (broken) breaches.set(broken[0], (breaches.get(broken[0]) ?? 0) + 1);
  return broken ? undefined : decoded;
}

/** What is wrong with the walk of this body; undefined if nothing is. */
function judge(body: Buffer, expected: RequestObject | undefined): string | undefined {
  let walked: WalkedExport;
  try {
    walked = walkExport(body, attribute);
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) return `threw ${thrown}`;
    if (thrown.kind !== 'malformed') return `refused as ${thrown.kind}`;
    return expected ? `refused what decodes: ${thrown.hint}` : undefined;
  }
  if (!expected) return 'accepted what does not decode, or breaks an extra rule';
  const kept = (expected.resourceSpans ?? []).filter((resource) => spansOf(resource).length > 0);
  const counts = kept.map((resource) => spansOf(resource).length);
  if (counts.join() !== walked.resources.map(({ items }) => items).join()) return 'other counts';
  const targets = kept.map(targetOf).join();
  const found = walked.resources.map(({ target }) => shortTarget(target)).join();
  if (targets !== found) return `expected targets ${targets}, found ${found}`;
  return stampsWrongly(body, walked, kept);
}

function targetOf({ resource }: ResourceSpansObject): string {
  const entry = resource?.attributes?.findLast(({ key }) => key === attribute);
  const value: AnyValueObject = entry?.value ?? {};
  const [member] = Object.keys(value);
  if (member === undefined || member === 'stringValueStrindex' || value.stringValue === '') {
    return 'absent';
  }
  return value.stringValue ?? 'unusable';
}

function shortTarget(target: NamedTarget): string {
  return target.kind === 'named' ? target.value : target.kind;
}

function stampsWrongly(
  body: Buffer,
  walked: WalkedExport,
  kept: readonly ResourceSpansObject[],
): string | undefined {
  const agents = walked.resources.map((_, index) => (index % 3 === 2 ? undefined : agentA));
  const [share] = splitByAgent(body, walked, agents);
  const stamped = share ? (decodeRequest(Buffer.concat(share.body)).resourceSpans ?? []) : [];
  const wanted = kept.filter((_, index) => agents[index] !== undefined);
  if (stamped.length !== wanted.length) return 'the share has other resources';
  for (const [index, resource] of stamped.entries()) {
    const own = (resource.resource?.attributes ?? []).filter(({ key }) => key === attribute);
    if (own.length !== 1 || own[0]?.value?.stringValue !== agentA) return 'stamped wrongly';
    if (!isDeepStrictEqual(unstamped(resource), unstamped(wanted[index] ?? {}))) {
      return 'the stamp changed something else';
    }
  }
  return undefined;
}

/** A resource without the entries that stamping may touch. */
function unstamped({ resource, ...rest }: ResourceSpansObject): unknown {
  const attributes = (resource?.attributes ?? []).filter(({ key }) => key !== attribute);
  return { ...rest, resource: { ...resource, attributes } };
}

/** Random fields, mostly wrapped so that they reach a resource or a span with whole ids. */
function hostileExport(random: SeededRandom): Buffer {
  const field = (tag: number, content: Buffer) =>
    Buffer.concat([
      Buffer.from([tag, 0x80 | (content.length & 127), content.length >> 7]),
      content,
    ]);
  const ids = Buffer.concat([field(0x0a, Buffer.alloc(16, 7)), field(0x12, Buffer.alloc(8, 7))]);
  const span = field(0x12, Buffer.concat([ids, attributes(random, 0x4a, field)]));
  const scope = field(0x12, span);
  const resource = () => field(0x0a, attributes(random, 0x0a, field));
  const parts = [scope, resource(), resource(), randomFields(random, 2)];
  const chosen = parts.filter(() => random.below(3) > 0);
  if (random.below(10) === 0) chosen.push(field1000(random));
  return random.below(5) === 0
    ? randomFields(random, 6)
    : Buffer.concat([field(0x0a, Buffer.concat(chosen)), randomFields(random, 1)]);
}

/** Where scopes stood before OTLP 0.15, when it has a length. */
function field1000(random: SeededRandom): Buffer {
  const wireType = random.pick([0, 2, 2, 2]);
  return Buffer.from([0xc0 | wireType, 0x3e, 0x01, ...(wireType === 2 ? [0x78] : [])]);
}

type WriteField = (tag: number, content: Buffer) => Buffer;

/** Entries of the attribute and others, whole and odd, with values of every kind. */
function attributes(random: SeededRandom, tag: number, field: WriteField): Buffer {
  const entries: Buffer[] = [];
  for (let count = random.below(4); count > 0; count -= 1) {
    const key = field(0x0a, Buffer.from(random.pick([attribute, attribute, 'service.name', ''])));
    const text = field(0x0a, Buffer.from(random.pick([agentA, agentA.toUpperCase(), 'x', ''])));
    const member = random.pick([
      text,
      text,
      text,
      Buffer.from([0x18, 42]),
      randomFields(random, 2),
    ]);
    const value = field(0x12, member);
    const parts = [key, value, random.pick([key, value, randomFields(random, 1), Buffer.alloc(0)])];
    if (random.below(2) === 0) parts.reverse();
    entries.push(field(tag, Buffer.concat(parts)));
  }
  return Buffer.concat(entries);
}
