/** The captured requests of real clients: how they were sent, and what stands in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type ReadExport, withDoubles } from './read-export.ts';

const folder = resolve(import.meta.dirname, '../fixtures');

/** The key of every capture. */
export const fixtureKey = 'mibo_test0000000000000000000000000000fixture';
/** The agents that the captures name. */
export const agentA = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
export const agentB = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';

export type Fixture = {
  readonly name: string;
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json';
  readonly method: string;
  readonly path: string;
  /** As captured: name, value, name, value. */
  readonly headers: readonly string[];
  /** As on the wire. */
  readonly body: Buffer;
  /** What an independent decoder found; undefined where it does not decode. */
  readonly expected: ReadExport | undefined;
};

type RequestFile = {
  protocol: Fixture['protocol'];
  method: string;
  path: string;
  headers: [string, string][];
};

export function readFixtures(): Fixture[] {
  const folders = readdirSync(folder, { withFileTypes: true }).filter((it) => it.isDirectory());
  return folders.map(({ name }) => {
    const file = (part: string) => readFileSync(join(folder, name, part));
    const request = JSON.parse(file('request.json').toString()) as RequestFile;
    const expected = JSON.parse(file('expected.json').toString()) as { decodes: boolean };
    return {
      name,
      protocol: request.protocol,
      method: request.method,
      path: request.path,
      headers: request.headers.flat(),
      body: file('body.bin'),
      expected: expected.decodes ? (withDoubles(expected) as unknown as ReadExport) : undefined,
    };
  });
}

export function headerOf(fixture: Fixture, name: string): string | undefined {
  const at = fixture.headers.findIndex((it, index) => index % 2 === 0 && it.toLowerCase() === name);
  return at < 0 ? undefined : fixture.headers[at + 1];
}

/** The body without transport framing: gRPC's prefix is taken off; still compressed. */
export function wireBody(fixture: Fixture): { bytes: Buffer; compression: string | undefined } {
  if (fixture.protocol === 'grpc') {
    const compressed = fixture.body[0] === 1;
    const encoding = compressed ? headerOf(fixture, 'grpc-encoding') : undefined;
    return { bytes: fixture.body.subarray(5), compression: encoding };
  }
  return { bytes: fixture.body, compression: headerOf(fixture, 'content-encoding') };
}

/** The message itself, inflated. */
export function messageOf(fixture: Fixture): Buffer {
  const { bytes, compression } = wireBody(fixture);
  return compression === 'gzip' ? gunzipSync(bytes) : bytes;
}
