/** The captured requests of test/fixtures, as messages: without gRPC's prefix, inflated. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const directory = join(import.meta.dirname, '../fixtures');

export type Expected = {
  readonly decodes: boolean;
  readonly spanCount?: number;
  readonly resourceCount?: number;
  /** Per resource, the values of the attribute in order; null for what is not a string. */
  readonly platformIds?: readonly (readonly (string | null)[])[];
  readonly spans?: readonly ExpectedSpan[];
};

export type ExpectedSpan = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly start: string;
  readonly end: string;
};

export type Fixture = {
  readonly name: string;
  readonly encoding: 'proto' | 'json';
  readonly message: Buffer;
  readonly expected: Expected;
};

export function loadFixtures(): Fixture[] {
  return readdirSync(directory)
    .filter((name) => existsSync(join(directory, name, 'body.bin')))
    .flatMap((name) => {
      const message = readMessage(name);
      const encoding = name.includes('json') ? 'json' : 'proto';
      return message ? [{ name, encoding, message, expected: readExpected(name) }] : [];
    });
}

export function loadFixture(name: string): Fixture {
  const found = loadFixtures().find((fixture) => fixture.name === name);
  if (!found) throw new Error(`no fixture ${name}`);
  return found;
}

function readExpected(name: string): Expected {
  return JSON.parse(readFileSync(join(directory, name, 'expected.json'), 'utf8'));
}

/** Undefined where the compression itself is broken: then there is no message. */
function readMessage(name: string): Buffer | undefined {
  const body = readFileSync(join(directory, name, 'body.bin'));
  const request = readFileSync(join(directory, name, 'request.json'), 'utf8');
  const isGrpc = request.includes('TraceService/Export');
  if (isGrpc && body[0] === 0) return body.subarray(5);
  // Compressed without saying how: gRPC itself refuses that, before there is a message.
  if (isGrpc) return request.includes('"grpc-encoding"') ? inflate(body.subarray(5)) : undefined;
  return /"content-encoding"/i.test(request) ? inflate(body) : body;
}

function inflate(body: Buffer): Buffer | undefined {
  try {
    return gunzipSync(body);
  } catch {
    return undefined;
  }
}
