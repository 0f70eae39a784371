/** Bodies that go wrong as bodies do: cut, flipped, spliced, and hostile on purpose. */
import type { SeededRandom } from './seeded-random.ts';

type Mutate = (body: Buffer, random: SeededRandom, corpus: readonly Buffer[]) => Buffer;

/** Tags, continuation bytes, group brackets and lengths that decoders trip over. */
const sore = [0x00, 0x01, 0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0f, 0x10, 0x12, 0x1a, 0x7f, 0x80, 0xff];

const mutations: readonly Mutate[] = [
  (body, random) => body.subarray(0, random.below(body.length + 1)),
  (body, random) => replace(body, random, (byte) => byte ^ (1 << random.below(8))),
  (body, random) => replace(body, random, () => random.below(256)),
  (body, random) => replace(body, random, () => random.pick(sore)),
  (body, random) => insert(body, random, Buffer.from([random.pick(sore)])),
  (body, random) => insert(body, random, randomFields(random, 3)),
  (body, random) => {
    const start = random.below(body.length);
    const end = Math.min(body.length, start + random.below(16));
    return Buffer.concat([body.subarray(0, start), body.subarray(end)]);
  },
  (body, random) => {
    const start = random.below(body.length);
    const piece = body.subarray(start, Math.min(body.length, start + random.below(64)));
    return insert(body, random, piece);
  },
  (body, random, corpus) => {
    const other = random.pick(corpus);
    const from = random.below(other.length + 1);
    return Buffer.concat([body.subarray(0, random.below(body.length + 1)), other.subarray(from)]);
  },
];

/** One to three mutations of a member of the corpus. */
export function mutate(random: SeededRandom, corpus: readonly Buffer[]): Buffer {
  let body = random.pick(corpus);
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    if (body.length > 0) body = random.pick(mutations)(body, random, corpus);
  }
  return body;
}

function replace(body: Buffer, random: SeededRandom, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(body);
  const at = random.below(copy.length);
  copy[at] = change(copy[at] as number);
  return copy;
}

function insert(body: Buffer, random: SeededRandom, piece: Buffer): Buffer {
  const at = random.below(body.length + 1);
  return Buffer.concat([body.subarray(0, at), piece, body.subarray(at)]);
}

/**
 * A message grown from the wire format alone: fields that exist and fields that do not, of any wire
 * type, groups, merged and repeated messages, numbers written too long.
 */
export function randomFields(random: SeededRandom, depth: number): Buffer {
  const fields: Buffer[] = [];
  for (let count = random.below(5); count > 0; count -= 1) fields.push(randomField(random, depth));
  return Buffer.concat(fields);
}

function randomField(random: SeededRandom, depth: number): Buffer {
  const number = random.below(40) === 0 ? random.below(2 ** 20) : random.below(17);
  const wireType = random.pick([0, 1, 2, 2, 2, 2, 2, 2, 3, 5, random.below(8)]);
  const tag = varint(random, number * 8 + wireType);
  if (wireType === 0) return Buffer.concat([tag, varint(random, random.below(2 ** 31))]);
  if (wireType === 1) return Buffer.concat([tag, randomBytes(random, 8)]);
  if (wireType === 5) return Buffer.concat([tag, randomBytes(random, 4)]);
  if (wireType === 3) {
    const end = varint(random, (random.below(20) === 0 ? number + 1 : number) * 8 + 4);
    return Buffer.concat([tag, randomFields(random, depth - 1), end]);
  }
  if (wireType !== 2) return tag;
  const content = depth > 0 && random.below(3) > 0 ? randomFields(random, depth - 1) : leaf(random);
  const size = random.below(200) === 0 ? content.length + 1 : content.length;
  return Buffer.concat([tag, varint(random, size), content]);
}

const leaves = [
  Buffer.from('mibo.platform_id'),
  Buffer.from('7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c'),
  Buffer.from('grüße 日本語 🙂'),
  Buffer.alloc(16, 1),
  Buffer.alloc(8, 2),
  Buffer.alloc(0),
];

function leaf(random: SeededRandom): Buffer {
  return random.below(10) === 0 ? randomBytes(random, random.below(200)) : random.pick(leaves);
}

function randomBytes(random: SeededRandom, size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, () => random.below(256)));
}

/** Sometimes with needless continuation bytes, up to more than a decoder takes. */
function varint(random: SeededRandom, value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  const needless = random.below(30) === 0 ? random.below(10) : 0;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  for (let count = 0; count < needless; count += 1) {
    bytes[bytes.length - 1] = (bytes.at(-1) as number) | 128;
    bytes.push(0);
  }
  return Buffer.from(bytes);
}
