/**
 * Each refusal reaches each client in its own words: the status that makes its exporter retry or
 * stop, and the hint in every place where one of them looks. (docs/errors.md; OTLP specification,
 * "Failures".)
 */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { framed, type GrpcAnswer, type GrpcClient, grpcClient } from '../harness/grpc-client.ts';
import { http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import {
  encodings,
  expectGrpcRefusal,
  expectHttpRefusal,
  type Refusal,
} from '../harness/refusals.ts';
import { registryOf } from '../harness/registry.ts';
import { type Sink, startSink } from '../harness/sink.ts';

const agent = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const unknownAgent = '11111111-2222-4333-8444-555555555555';

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
let grpc: GrpcClient;
let unrestricted: string;
let scoped: string;
let revoked: string;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agent, name: 'Support bot' });
  unrestricted = (await registry.key('Support', { name: 'Production Traces' })).key;
  scoped = (await registry.key('Support', { name: 'one', agents: [agent] })).key;
  const gone = await registry.key('Support', { name: 'gone', agents: [agent] });
  revoked = gone.key;
  await registry.revoke(gone.id);
  gateway = await workspace.start();
  grpc = grpcClient(gateway.ports.grpc);
});

afterAll(async () => {
  grpc?.close();
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

type Question = {
  readonly headers: readonly string[];
  readonly body?: ReturnType<typeof makeExport>;
};

/** The same question over all three; each answer has to be the refusal. */
async function expectEverywhere(refusal: Refusal, question: Question): Promise<void> {
  const { headers, body = makeExport({}) } = question;
  for (const encoding of encodings) {
    const answer = await http({
      port: gateway.ports.http,
      headers: ['Content-Type', encoding, ...headers],
      body: encoding === 'application/json' ? body.json : body.proto,
    });
    expectHttpRefusal(answer, { encoding, refusal });
  }
  expectGrpcRefusal(await grpc.call({ headers, body: framed(body.proto) }), refusal);
  expect(sink.received).toEqual([]);
}

describe('the key', () => {
  test('is missing', async () => {
    await expectEverywhere(
      {
        http: 401,
        grpc: 16,
        code: 'MISSING_API_KEY',
        hint: /OTEL_EXPORTER_OTLP_HEADERS=x-api-key=/,
      },
      { headers: [] },
    );
  });

  test.for([
    ['is unknown', 'mibo_test0000000000000000000000000000unknown'],
    ['is not a key at all', 'hello'],
    ['is empty', ''],
  ] as const)('%s', async ([, key]) => {
    const code = key === '' ? 'MISSING_API_KEY' : 'INVALID_API_KEY';
    await expectEverywhere({ http: 401, grpc: 16, code }, { headers: ['x-api-key', key] });
  });

  test('is revoked', async () => {
    await expectEverywhere(
      { http: 401, grpc: 16, code: 'INVALID_API_KEY' },
      { headers: ['x-api-key', revoked] },
    );
  });

  test.for([
    ['stands in quotes', (key: string) => [`"${key}"`], /quote/],
    ['has %20 in front', (key: string) => [`%20${key}`], /%20/],
    ['has Bearer in front', (key: string) => [`Bearer ${key}`], /Bearer/],
  ] as const)('%s: the hint says so', async ([, paste, hint]) => {
    await expectEverywhere(
      { http: 401, grpc: 16, code: 'INVALID_API_KEY', hint },
      { headers: ['x-api-key', ...paste(scoped)] },
    );
  });

  test('is sent twice', async () => {
    const refusal = { http: 401, grpc: 16, code: 'INVALID_API_KEY' };
    await expectEverywhere(refusal, { headers: ['x-api-key', scoped, 'x-api-key', unrestricted] });
  });

  test('differs from the one in Authorization', async () => {
    await expectEverywhere(
      { http: 401, grpc: 16, code: 'INVALID_API_KEY' },
      { headers: ['x-api-key', scoped, 'authorization', `Bearer ${unrestricted}`] },
    );
  });

  test('is refused before the body is looked at, whatever its type', async () => {
    for (const type of ['text/plain', 'application/x-protobuf; a=b', '', ';;']) {
      const headers = ['Content-Type', type];
      const answer = await http({ port: gateway.ports.http, headers, body: 'not an export' });
      expect(answer.status, type).toBe(401);
    }
  });
});

describe('the target', () => {
  test('is not named: the hint names the cures and the agents of the key', async () => {
    await expectEverywhere(
      {
        http: 400,
        grpc: 3,
        code: 'PLATFORM_NOT_FOUND',
        hint: /OTEL_RESOURCE_ATTRIBUTES=mibo\.platform_id=.*"Production Traces".*\(Support bot\)/,
      },
      { headers: ['x-api-key', unrestricted] },
    );
  });

  test('is out of reach', async () => {
    await expectEverywhere(
      { http: 403, grpc: 7, code: 'PLATFORM_NOT_ALLOWED', hint: /restricted/ },
      { headers: ['x-api-key', unrestricted], body: makeExport({ platformId: unknownAgent }) },
    );
  });

  test('is not a UUID: the hint says what stands there', async () => {
    await expectEverywhere(
      { http: 400, grpc: 3, code: 'VALIDATION_ERROR', hint: /UUID.*support-bot/ },
      { headers: ['x-api-key', unrestricted], body: makeExport({ platformId: 'support-bot' }) },
    );
  });
});

describe('the body', () => {
  const key = () => ['x-api-key', scoped];

  test('is malformed', async () => {
    const refusal = { http: 400, grpc: 3, code: 'VALIDATION_ERROR' };
    for (const encoding of encodings) {
      const answer = await http({
        port: gateway.ports.http,
        headers: ['Content-Type', encoding, ...key()],
        body: encoding === 'application/json' ? '{"resourceSpans":[' : Buffer.from('0aff01', 'hex'),
      });
      expectHttpRefusal(answer, { encoding, refusal });
    }
    const body = framed(Buffer.from('0aff01', 'hex'));
    expectGrpcRefusal(await grpc.call({ headers: key(), body }), refusal);
  });

  test('is compressed as nobody knows', async () => {
    const refusal = { http: 415, grpc: 12, code: 'UNSUPPORTED_ENCODING' };
    const { proto, json } = makeExport({});
    for (const encoding of encodings) {
      const answer = await http({
        port: gateway.ports.http,
        headers: ['Content-Type', encoding, 'Content-Encoding', 'br', ...key()],
        body: encoding === 'application/json' ? json : proto,
      });
      expectHttpRefusal(answer, { encoding, refusal });
      expect(answer.headers['accept-encoding']).toMatch(/gzip/);
    }
    const headers = [...key(), 'grpc-encoding', 'snappy'];
    const answer = await grpc.call({ headers, body: framed(proto, true) });
    expectGrpcRefusal(answer, refusal);
    expect(answer.fields['grpc-accept-encoding']).toMatch(/gzip/);
  });

  test('is of a type that nobody knows', async () => {
    const refusal = { http: 415, grpc: 3, code: 'UNSUPPORTED_MEDIA_TYPE' };
    for (const type of ['text/plain', 'application/xml']) {
      const headers = ['Content-Type', type, ...key()];
      const answer = await http({ port: gateway.ports.http, headers, body: 'a' });
      expectHttpRefusal(answer, { encoding: 'application/json', refusal });
    }
  });

  test('inflates to more than the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024));
    const refusal = { http: 413, grpc: 8, code: 'PAYLOAD_TOO_LARGE' };
    for (const encoding of encodings) {
      const answer = await http({
        port: gateway.ports.http,
        headers: ['Content-Type', encoding, 'Content-Encoding', 'gzip', ...key()],
        body: bomb,
      });
      expectHttpRefusal(answer, { encoding, refusal });
    }
    const headers = [...key(), 'grpc-encoding', 'gzip'];
    expectGrpcRefusal(await grpc.call({ headers, body: framed(bomb, true) }), refusal);
  });
});

describe('the way', () => {
  test('leads nowhere: the answer names /v1/traces', async () => {
    const refusal = { http: 404, grpc: 12, code: 'NOT_FOUND' };
    for (const encoding of encodings) {
      const answer = await http({
        port: gateway.ports.http,
        path: '/api/traces',
        headers: ['Content-Type', encoding, 'x-api-key', scoped],
        body: '{}',
      });
      expectHttpRefusal(answer, { encoding, refusal: { ...refusal, hint: /\/v1\/traces/ } });
    }
    const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Explode';
    const answer = await grpc.call({ path, headers: ['x-api-key', scoped], body: framed(empty) });
    expectGrpcRefusal(answer, refusal);
  });

  test.for([
    ['logs', 'logs', 'OTEL_LOGS_EXPORTER=none'],
    ['metrics', 'metrics', 'OTEL_METRICS_EXPORTER=none'],
  ] as const)('of %s is refused with the cure', async ([name, service, cure]) => {
    const refusal = { http: 404, grpc: 12, code: 'NOT_FOUND', hint: new RegExp(cure) };
    for (const encoding of encodings) {
      const answer = await http({
        port: gateway.ports.http,
        path: `/v1/${name}`,
        headers: ['Content-Type', encoding, 'x-api-key', scoped],
        body: encoding === 'application/json' ? '{}' : '',
      });
      expectHttpRefusal(answer, { encoding, refusal });
    }
    const word = service[0]?.toUpperCase() + service.slice(1);
    const path = `/opentelemetry.proto.collector.${service}.v1.${word}Service/Export`;
    const answer = await grpc.call({ path, headers: ['x-api-key', scoped], body: framed(empty) });
    expectGrpcRefusal(answer, refusal);
  });

  test.for(['GET', 'PUT', 'DELETE'])('%s is not POST', async (method) => {
    const answer = await http({ port: gateway.ports.http, method, headers: ['x-api-key', scoped] });
    const refusal = { http: 405, grpc: 12, code: 'METHOD_NOT_ALLOWED' };
    expectHttpRefusal(answer, { encoding: 'application/json', refusal });
    expect(answer.headers.allow).toBe('POST');
  });

  test.for(['/v1/traces/', '/v1/traces/v1/traces', '/', '/v1/traces?a=b'])(
    'is odd (%s) but clear: served in place',
    async (path) => {
      const body = makeExport({});
      const answer = await http({
        port: gateway.ports.http,
        path,
        headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', scoped],
        body: body.proto,
      });
      expect(answer.status, answer.reason).toBe(200);
      expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
    },
  );
});

const empty = Buffer.alloc(0);

test('an answer to gRPC is never a bare HTTP error', async () => {
  const asked: Promise<GrpcAnswer>[] = [
    grpc.call({ path: '/', headers: ['x-api-key', scoped], body: framed(empty) }),
    grpc.call({ path: '/v1/traces', headers: [], body: framed(empty) }),
    grpc.call({ headers: ['x-api-key', scoped], body: Buffer.from([1, 2]) }),
  ];
  for (const answer of await Promise.all(asked)) {
    expect(answer.httpStatus).toBe(200);
    expect(answer.status).toBeGreaterThan(0);
  }
});

test('every answer carries an id to ask about', async () => {
  const ids = new Set<unknown>();
  for (const key of [scoped, 'wrong']) {
    const answer = await http({ port: gateway.ports.http, headers: ['x-api-key', key] });
    ids.add(answer.headers['x-mibo-gateway-request-id']);
  }
  expect([...ids].every((id) => typeof id === 'string' && id.length >= 16)).toBe(true);
  expect(ids.size).toBe(2);
});
