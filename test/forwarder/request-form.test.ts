/** How the configuration shapes what is sent: compression, encoding, headers, paths. */
import { deflateSync, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { Compression } from '../../src/core/delivery.ts';
import { createForwarder, type DownstreamOptions } from '../../src/forwarder/forwarder.ts';
import { createRequestBody } from '../../src/forwarder/request-body.ts';
import { createRequestHead } from '../../src/forwarder/request-head.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { delivery } from '../queue/delivery.ts';
import { createFakeClock } from '../queue/fake-clock.ts';

const downstream: DownstreamOptions = {
  endpoint: 'http://127.0.0.1:4319',
  tracesPath: '/v1/traces',
  tracesApiPath: '/public/traces',
  encoding: 'proto',
  compression: 'as_received',
  headers: {},
  timeoutMs: 1000,
  connections: 1,
};

const compress: Record<Compression, (text: string) => Buffer> = {
  identity: (text) => Buffer.from(text),
  gzip: (text) => gzipSync(text),
  deflate: (text) => deflateSync(text),
  zstd: (text) => zstdCompressSync(text),
};

function compressed(compression: Compression, text: string) {
  return delivery({ compression, body: [compress[compression](text)] });
}

describe('compression', () => {
  test.each(['identity', 'gzip', 'deflate', 'zstd'] as const)(
    'as_received sends %s untouched, the very same bytes',
    async (compression) => {
      const given = compressed(compression, 'a;');
      const body = await createRequestBody(downstream)([given]);
      expect(body).toMatchObject({ encoding: 'proto', compression });
      expect(body.pieces[0]).toBe(given.body[0]);
    },
  );

  const written = {
    none: (body: Buffer) => body.toString(),
    gzip: (body: Buffer) => gunzipSync(body).toString(),
    zstd: (body: Buffer) => zstdDecompressSync(body).toString(),
  };
  for (const wanted of ['none', 'gzip', 'zstd'] as const) {
    test.each(['identity', 'gzip', 'deflate', 'zstd'] as const)(
      `${wanted}: what came as %s is sent so, several as one`,
      async (compression) => {
        const given = ['a;', 'b;'].map((text) => compressed(compression, text));
        const body = await createRequestBody({ ...downstream, compression: wanted })(given);
        expect(body.compression).toBe(wanted === 'none' ? 'identity' : wanted);
        expect(written[wanted](Buffer.concat(body.pieces))).toBe('a;b;');
        expect(body.bytes).toBe(Buffer.concat(body.pieces).length);
      },
    );
  }

  test('bodies that inflate to too much are refused, so that they go in halves', async () => {
    const bomb = () => compressed('gzip', 'x'.repeat(20 * 1024 * 1024));
    const bodyOf = createRequestBody({ ...downstream, compression: 'none' });
    await expect(bodyOf([bomb(), bomb()])).rejects.toThrow();
    expect((await bodyOf([bomb()])).bytes).toBe(20 * 1024 * 1024);
  });
});

describe('encoding: json', () => {
  /** `resource_spans` with nothing in it: one field of length 0. */
  const oneResource = Buffer.from([0x0a, 0x00]);
  const traces = (compression: Compression) =>
    delivery({
      compression,
      body: [compression === 'gzip' ? gzipSync(oneResource) : oneResource],
    });

  test.each(['identity', 'gzip'] as const)(
    'what came as %s is written as one JSON text, joined ones too, and not compressed',
    async (compression) => {
      const bodyOf = createRequestBody({ ...downstream, encoding: 'json' });
      const body = await bodyOf([traces(compression), traces(compression)]);
      expect(body).toMatchObject({ encoding: 'json', compression: 'identity' });
      const written = JSON.parse(Buffer.concat(body.pieces).toString());
      expect(written.resourceSpans.length).toBe(2);
    },
  );

  test('is compressed where that is configured', async () => {
    const bodyOf = createRequestBody({ ...downstream, encoding: 'json', compression: 'gzip' });
    const body = await bodyOf([traces('identity')]);
    expect(body).toMatchObject({ encoding: 'json', compression: 'gzip' });
    expect(JSON.parse(gunzipSync(Buffer.concat(body.pieces)).toString())).toHaveProperty(
      'resourceSpans',
    );
  });

  test('flat bodies of Your API stay as they are', async () => {
    const flat = delivery({ signal: 'traces_api', encoding: 'json', text: '{"spans":[]}' });
    const body = await createRequestBody({ ...downstream, encoding: 'json' })([flat]);
    expect(body.pieces).toEqual(flat.body);
  });
});

describe('configured headers', () => {
  test.each(['Content-Type', 'X-Mibo-Key-Id', 'idempotency-key', 'Transfer-Encoding'])(
    'cannot replace %s',
    (name) => {
      const headers = { [name]: 'mine' };
      expect(() => createRequestHead({ ...downstream, headers })).toThrow(`remove "${name}"`);
    },
  );

  test('that cannot be sent are named, without their value', () => {
    const headers = { authorization: 'Bearer s3cret\n' };
    const create = () => createRequestHead({ ...downstream, headers });
    expect(create).toThrow(/correct "authorization" in downstream\.headers/);
    expect(create).not.toThrow(/s3cret/);
  });
});

test('the forwarder refuses a header that cannot be sent when it is created', () => {
  const options = {
    downstream: { ...downstream, headers: { 'x-a': 'b\r\nx-evil: 1' } },
    retry: {
      initialIntervalMs: 1,
      maxIntervalMs: 1,
      multiplier: 1,
      randomizationFactor: 0,
      maxElapsedTimeMs: 0,
    },
    batchBytesMax: 1,
    clock: createFakeClock(),
    observability: createObservability({ level: 'silent' }),
  };
  expect(() => createForwarder(options)).toThrow(/x-a/);
});
