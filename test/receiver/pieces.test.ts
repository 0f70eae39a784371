/** The parts below the servers: bodies in any pieces, inflating, room, routes. */
import { PassThrough, Readable } from 'node:stream';
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBudget } from '../../src/core/budget.ts';
import { systemClock } from '../../src/core/clock.ts';
import { compressionOf, encodingOf } from '../../src/receiver/content.ts';
import { timeoutMsOf } from '../../src/receiver/grpc-call.ts';
import { frameSink } from '../../src/receiver/grpc-message.ts';
import { inflate } from '../../src/receiver/inflate.ts';
import { collect, growingSink, sizedSink } from '../../src/receiver/read-body.ts';
import { createAdmission, Room } from '../../src/receiver/room.ts';
import { frame } from './clients.ts';

const bytesMax = 1_000_000;

function createRoom(budgetBytes = 100 * bytesMax) {
  const budget = createBudget(budgetBytes, systemClock);
  const admission = createAdmission(budget, { waitMs: 60_000, unreadBytesMax: 1000 });
  return { budget, admission, room: new Room(admission) };
}

/** A body and where it is cut. */
const cutBody = fc.nat(300_000).chain((bytes) =>
  fc.tuple(
    fc.constant(Buffer.from(Array.from({ length: bytes }, (_, index) => index % 251))),
    fc.array(fc.nat(bytes), { maxLength: 6 }).map((cuts) => cuts.sort((a, b) => a - b)),
  ),
);

function cut(body: Buffer, at: readonly number[]): Buffer[] {
  const ends = [...at, body.length];
  return ends.map((end, index) => body.subarray(ends[index - 1] ?? 0, end));
}

describe('a body in any pieces', () => {
  const kinds = {
    sized: (body: Buffer, room: Room) => sizedSink(body.length, room),
    growing: (_body: Buffer, room: Room) => growingSink(room, bytesMax),
  };
  test.for(['sized', 'growing'] as const)('is read whole (%s)', async (kind) => {
    await fc.assert(
      fc.asyncProperty(cutBody, async ([body, at]) => {
        const { room, budget } = createRoom();
        const pieces = cut(body, at).filter(({ length }) => length > 0);
        const stream = Readable.from(pieces, { objectMode: false });
        const read = await collect(stream, kinds[kind](body, room), room);
        expect(read.equals(body)).toBe(true);
        if (kind === 'growing') expect(budget.usedBytes).toBeGreaterThanOrEqual(body.length);
        room.close();
        expect(budget.usedBytes).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  test('is read whole (framed), its prefix cut too', async () => {
    await fc.assert(
      fc.asyncProperty(cutBody, fc.boolean(), async ([message, at], compressed) => {
        const { room, budget } = createRoom();
        const body = frame(message, compressed);
        const pieces = cut(
          body,
          [1, ...at].sort((a, b) => a - b),
        ).filter((p) => p.length > 0);
        const sink = frameSink({ room, bytesMax, mayBeCompressed: true });
        const read = await collect(Readable.from(pieces, { objectMode: false }), sink, room);
        expect(read.compressed).toBe(compressed);
        expect(read.message.equals(message)).toBe(true);
        expect(budget.usedBytes).toBe(message.length);
        room.close();
      }),
      { numRuns: 100 },
    );
  });

  test('waits for room before it takes more, and ends only then', async () => {
    const { budget, room } = createRoom(1000);
    expect(budget.tryReserve(900)).toBe(true);
    const stream = new PassThrough();
    let ended = false;
    const read = collect(stream, growingSink(room, bytesMax), room).then((body) => {
      ended = true;
      return body;
    });
    stream.end(Buffer.alloc(200, 1));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toBe(false);
    budget.release(900);
    expect((await read).length).toBe(200);
    room.close();
    expect(budget.usedBytes).toBe(0);
  });

  test('of unknown length stops at the limit', async () => {
    const { room } = createRoom();
    const stream = Readable.from([Buffer.alloc(60), Buffer.alloc(60)]);
    await expect(collect(stream, growingSink(room, 100), room)).rejects.toMatchObject({
      kind: 'payload_too_large',
    });
  });

  test('that node:http2 had given up before is not waited for', async () => {
    const { room } = createRoom();
    const request = Object.assign(new Readable({ read() {} }), { stream: { destroyed: true } });
    const read = collect(request, sizedSink(10, room), room);
    await expect(read).rejects.toMatchObject({ kind: 'malformed' });
  });

  test('that ends in a fault is cut off', async () => {
    const { room } = createRoom();
    const stream = new PassThrough();
    stream.on('error', () => {});
    const read = collect(stream, sizedSink(10, room), room);
    stream.write('abc');
    stream.destroy(new Error('reset'));
    await expect(read).rejects.toMatchObject({ kind: 'malformed' });
    await expect(collect(stream, sizedSink(10, room), room)).rejects.toMatchObject({
      kind: 'malformed',
    });
  });
});

describe('room', () => {
  test('is given back once, and nothing is taken after the end', async () => {
    const { budget, room } = createRoom(1000);
    room.take(400);
    expect(budget.usedBytes).toBe(400);
    room.close();
    room.close();
    room.giveBack(400);
    expect(budget.usedBytes).toBe(0);
    expect(() => room.take(1)).toThrow();
  });

  test('that is granted behind the end goes back', async () => {
    const { budget, room } = createRoom(1000);
    budget.tryReserve(1000);
    const wait = room.take(10);
    room.close();
    budget.release(1000);
    await expect(wait).rejects.toThrow();
    expect(budget.usedBytes).toBe(0);
  });

  test('is waited for by a bounded number of requests', async () => {
    const { budget, admission, room } = createRoom(1000);
    budget.tryReserve(1000);
    const waits = Array.from({ length: admission.waitersMax }, () => room.take(1));
    await expect(room.take(1)).rejects.toMatchObject({ kind: 'overloaded' });
    budget.release(1000);
    await Promise.all(waits);
    expect(budget.usedBytes).toBe(admission.waitersMax);
    expect(admission.waiters).toBe(0);
  });
});

describe('inflate', () => {
  const compressors = {
    gzip: gzipSync,
    deflate: deflateSync,
    raw: deflateRawSync,
    zstd: zstdCompressSync,
  };
  const compressionNamed = (name: keyof typeof compressors) => (name === 'raw' ? 'deflate' : name);

  test.for(['gzip', 'deflate', 'raw', 'zstd'] as const)(
    '%s gives back what was compressed, small and large, at every size around the limits',
    async (name) => {
      for (const bytes of [0, 1, 1023, 65_536, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1, 9_000_000]) {
        const { room, budget } = createRoom();
        const text = Buffer.alloc(bytes, 'spans and more spans; ');
        const limits = { room, bytesMax: Math.max(1, bytes) };
        const result = await inflate(compressors[name](text), compressionNamed(name), limits);
        expect(result.message.equals(text)).toBe(true);
        expect(result.portable).toBe(name !== 'raw');
        expect(budget.usedBytes).toBeGreaterThanOrEqual(bytes);
        room.close();
        expect(budget.usedBytes).toBe(0);
        if (bytes < 2) continue;
        const tight = { room: createRoom().room, bytesMax: bytes - 1 };
        await expect(
          inflate(compressors[name](text), compressionNamed(name), tight),
        ).rejects.toMatchObject({ kind: 'payload_too_large' });
      }
    },
  );

  test.for(['gzip', 'zstd'] as const)('members of %s one behind another are one', async (name) => {
    for (const bytes of [10, 3_000_000]) {
      const { room } = createRoom();
      const [a, b] = [Buffer.alloc(bytes, 'a'), Buffer.alloc(bytes, 'b')];
      const both = Buffer.concat([compressors[name](a), compressors[name](b)]);
      const { message } = await inflate(both, name, { room, bytesMax: 10_000_000 });
      expect(message.equals(Buffer.concat([a, b]))).toBe(true);
    }
  });

  test.for(['gzip', 'deflate', 'raw', 'zstd'] as const)(
    'what is damaged, cut off or followed by something else is malformed (%s)',
    async (name) => {
      for (const bytes of [50_000, 6_000_000]) {
        const whole = compressors[name](Buffer.alloc(bytes, 'spans and more; '));
        const limits = () => ({ room: createRoom().room, bytesMax: 10_000_000 });
        const wrong = [
          whole.subarray(0, whole.length - 1),
          whole.subarray(0, whole.length >> 1),
          whole.subarray(0, 0),
          Buffer.concat([whole, Buffer.from('x')]),
          Buffer.concat([whole, Buffer.from('something else altogether')]),
          // What may become another frame of zstd.
          ...['28', '28b5', '28b52f', '50', '502a4d'].map((tail) =>
            Buffer.concat([whole, Buffer.from(tail, 'hex')]),
          ),
        ];
        for (const body of wrong) {
          await expect(inflate(body, compressionNamed(name), limits())).rejects.toMatchObject({
            kind: 'malformed',
          });
        }
      }
    },
  );

  test('a small body gets no more room than it can need, whatever size it claims', async () => {
    const { room } = createRoom(100_000);
    const lying = gzipSync('spans');
    lying.writeUInt32LE(4_000_000, lying.length - 4);
    await expect(inflate(lying, 'gzip', { room, bytesMax: 10_000_000 })).rejects.toMatchObject({
      kind: 'malformed',
    });
  });

  test('any bytes at all are read or refused', async () => {
    const names = fc.constantFrom('gzip', 'deflate', 'zstd');
    await fc.assert(
      fc.asyncProperty(names, fc.uint8Array(), fc.boolean(), async (name, bytes, headed) => {
        const { room, budget } = createRoom();
        const heads = { gzip: '1f8b08', deflate: '789c', zstd: '28b52ffd' };
        const head = Buffer.from(headed ? heads[name as keyof typeof heads] : '', 'hex');
        const body = Buffer.concat([head, bytes]);
        await inflate(body, name as 'gzip', { room, bytesMax }).catch((thrown) => {
          expect(thrown.kind).toBe('malformed');
        });
        room.close();
        expect(budget.usedBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('small words', () => {
  test.for([
    ['100m', 100],
    ['9S', 9000],
    ['2M', 120_000],
    ['1H', 3_600_000],
    ['5000000u', 5000],
    ['99999999n', 99.999999],
    ['', undefined],
    ['100', undefined],
    ['-1S', undefined],
    ['999999999S', undefined],
  ] as const)('grpc-timeout %s is %s ms', ([text, ms]) => {
    const read = timeoutMsOf(text);
    if (ms === undefined) expect(read).toBeUndefined();
    else expect(read).toBeCloseTo(ms);
  });

  test('content types and encodings are read leniently', () => {
    expect(encodingOf(' APPLICATION/JSON ; charset=UTF-8')).toBe('json');
    expect(encodingOf('application/protobuf')).toBe('proto');
    expect(encodingOf('text/json')).toBeUndefined();
    expect(compressionOf(' Gzip ')).toBe('gzip');
    expect(compressionOf('')).toBe('identity');
    expect(() => compressionOf('gzip, gzip')).toThrow(/gzip, deflate, zstd, identity/);
  });
});
