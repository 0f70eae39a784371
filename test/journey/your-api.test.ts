/**
 * Your API, `POST /public/traces`: the call of Mibo's documentation works unchanged but for host
 * and key, the downstream's own answer comes back, and errors have the shape that its clients read.
 */
import { execFile } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cleanEnvironment } from '../harness/command.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { type HttpAnswer, http } from '../harness/http-client.ts';
import { makeExport } from '../harness/make-export.ts';
import { registryOf } from '../harness/registry.ts';
import { acceptAll, type Received, type Sink, startSink } from '../harness/sink.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';

let sink: Sink;
let workspace: Workspace;
let gateway: GatewayProcess;
let unrestricted: string;
let single: string;
let revoked: string;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: support, name: 'Support bot' });
  await registry.agent('Support', { id: sales, name: 'Sales bot' });
  unrestricted = (await registry.key('Support', { name: 'all' })).key;
  single = (await registry.key('Support', { name: 'one', agents: [support] })).key;
  const gone = await registry.key('Support', { name: 'gone', agents: [support] });
  revoked = gone.key;
  await registry.revoke(gone.id);
  gateway = await workspace.start();
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
  sink.answer = acceptAll;
});

type MiboError = {
  readonly success: false;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly details: readonly { location: string; msg: string; path: string; type: string }[];
  };
  readonly timestamp: string;
};

/** Checks the whole shape, since clients read all of it. */
function errorOf(answer: HttpAnswer): MiboError['error'] {
  expect(answer.headers['content-type']).toMatch(/^application\/json/);
  const body = JSON.parse(answer.body.toString()) as MiboError;
  expect(body.success).toBe(false);
  expect(Math.abs(Date.parse(body.timestamp) - Date.now())).toBeLessThan(60_000);
  expect(Object.keys(body).sort()).toEqual(['error', 'success', 'timestamp']);
  expect(Array.isArray(body.error.details)).toBe(true);
  for (const detail of body.error.details) {
    expect(Object.keys(detail).sort()).toEqual(['location', 'msg', 'path', 'type']);
  }
  expect(answer.reason).toMatch(/^[\x20-\x7e]{1,120}$/);
  return body.error;
}

function only(): Received {
  expect(sink.received.length).toBe(1);
  return sink.received[0] as Received;
}

type Sending = { readonly key?: string; readonly headers?: readonly string[] };

function post(body: unknown, sending: Sending = {}): Promise<HttpAnswer> {
  return http({
    port: gateway.ports.http,
    path: '/public/traces',
    headers: [
      ...['Content-Type', 'application/json', 'x-api-key', sending.key ?? single],
      ...(sending.headers ?? []),
    ],
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });
}

describe("the documentation's own call, with curl", () => {
  function curl(key: string, platformId?: string): Promise<{ status: number; body: string }> {
    const named = platformId === undefined ? '' : `"platformId": "${platformId}", `;
    const command = `curl -s -w '\\n%{http_code}' -X POST \
"http://127.0.0.1:${gateway.ports.http}/public/traces" \
-H "Content-Type: application/json" \
-H "x-api-key: ${key}" \
-H "x-request-id: chat-001" \
-d '{ ${named}"spans": [{ "span_id": "s-1", "name": "Agent", \
"attributes": { "gen_ai.response.text": "..." } }] }'`;
    return new Promise((resolve, reject) => {
      execFile('sh', ['-c', command], { env: cleanEnvironment() }, (error, stdout) => {
        if (error) return reject(error);
        const at = stdout.lastIndexOf('\n');
        resolve({ status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at) });
      });
    });
  }

  test('with a key of one agent: accepted, and routed to that agent', async () => {
    const answer = await curl(single);
    expect(answer).toEqual({ status: 201, body: '{"success":true,"data":{"id":"tr_1"}}' });
    const { headers, message } = only();
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-mibo-platform-id': support,
      'x-request-id': 'chat-001',
    });
    expect(JSON.parse(message.toString())).toEqual({
      platformId: support,
      spans: [{ span_id: 's-1', name: 'Agent', attributes: { 'gen_ai.response.text': '...' } }],
    });
  });

  test('with a key of the whole project: 400, and what to do', async () => {
    const answer = await curl(unrestricted);
    expect(answer.status).toBe(400);
    const { error } = JSON.parse(answer.body) as MiboError;
    expect(error.code).toBe('PLATFORM_NOT_FOUND');
    expect(error.message).toMatch(/platformId/);
    expect(error.message).toMatch(/Support bot.*Sales bot/);
    expect(sink.received).toEqual([]);
  });

  test('with platformId in the body: accepted', async () => {
    expect((await curl(unrestricted, sales)).status).toBe(201);
    expect(only().headers['x-mibo-platform-id']).toBe(sales);
  });

  test('with a revoked key: 401', async () => {
    const answer = await curl(revoked);
    expect(answer.status).toBe(401);
    expect((JSON.parse(answer.body) as MiboError).error.code).toBe('INVALID_API_KEY');
    expect(sink.received).toEqual([]);
  });
});

describe('x-request-id', () => {
  test('goes on as it came', async () => {
    await post({ spans: [] }, { headers: ['x-request-id', 'chat 7/u'] });
    expect(only().headers['x-request-id']).toBe('chat 7/u');
  });

  test('is never invented: it would merge traces downstream', async () => {
    await post({ spans: [] });
    expect(only().headers).not.toHaveProperty('x-request-id');
    expect(only().headers).toHaveProperty('x-mibo-gateway-request-id');
    expect(only().headers).toHaveProperty('idempotency-key');
  });

  test('never comes from the body', async () => {
    await post({ spans: [], 'x-request-id': 'a', requestId: 'b', request_id: 'c' });
    expect(only().headers).not.toHaveProperty('x-request-id');
  });
});

describe('the answer', () => {
  test.for([
    [200, '{"success":true,"data":{"id":"tr_1","replaced":true}}'],
    [201, '{"success":true,"data":{"id":"tr_2"}}'],
    [400, '{"success":false,"error":{"code":"VALIDATION_ERROR","message":"span 3 has no name"}}'],
    [409, '{"success":false}'],
    [500, 'oops'],
  ] as const)("is the downstream's own: %i", async ([status, body]) => {
    const type = body.startsWith('{') ? 'application/json; charset=utf-8' : 'text/plain';
    sink.answer = () => ({ status, headers: { 'content-type': type }, body });
    const answer = await post({ spans: [{ span_id: 's', name: 'n' }] });
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe(type);
    expect(answer.body.toString()).toBe(body);
  });

  test.for([429, 502, 503, 504])(
    'asks to send again when the downstream says %i',
    async (status) => {
      sink.answer = () => ({ status, body: 'not now' });
      const answer = await post({ spans: [] });
      expect(answer.status).toBe(503);
      expect(errorOf(answer).code).toBe('UNAVAILABLE');
      expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(3);
    },
  );

  test('warns when the scope of the key overrules the agent of the body', async () => {
    const answer = await post({ platformId: sales, spans: [] });
    expect(answer.status).toBe(201);
    expect(answer.headers['x-mibo-warning']).toMatch(/restricted to/);
    expect(only().headers['x-mibo-platform-id']).toBe(support);
  });
});

describe('the body', () => {
  const spans = [{ span_id: 's-1', name: 'Agent' }];

  test('comes from the n8n node: octet-stream, gzip', async () => {
    const answer = await http({
      port: gateway.ports.http,
      path: '/public/traces',
      headers: [
        ...['Content-Type', 'application/octet-stream', 'Content-Encoding', 'gzip'],
        ...['x-api-key', single],
      ],
      body: gzipSync(JSON.stringify({ spans, metadata: { workflow: 'w' } })),
    });
    expect(answer.status).toBe(201);
    const { headers, message } = only();
    expect(headers['content-type']).toBe('application/json');
    expect(JSON.parse(message.toString())).toEqual({
      spans,
      metadata: { workflow: 'w' },
      platformId: support,
    });
  });

  test('keeps every digit, and everything that nobody knows', async () => {
    const text =
      '{"spans":[{"span_id":"s","name":"n","start_time_unix_nano":1795536154907000001,' +
      '"attributes":{"big":123456789012345678901234567890,"small":-9007199254740993,' +
      '"d":0.1,"nested":[{"id":9223372036854775807}],"uni":"ü🚀"}}],"externalMetadata":' +
      '{"n":18446744073709551615},"unknown":[null,true,""]}';
    expect((await post(text)).status).toBe(201);
    const forwarded = only().message.toString();
    const withoutAgent = forwarded.replace(`,"platformId":"${support}"`, '');
    expect(withoutAgent).toBe(text);
  });

  test('names two agents: 400 with the paths', async () => {
    const answer = await post(
      { platformId: support, metadata: { mibo: { platform_id: sales } }, spans },
      { key: unrestricted },
    );
    expect(answer.status).toBe(400);
    const error = errorOf(answer);
    expect(error.code).toBe('VALIDATION_ERROR');
    const paths = error.details.map(({ path }) => path);
    expect(paths).toEqual(['platformId', 'metadata.mibo.platform_id']);
    expect(sink.received).toEqual([]);
  });

  test('names the same agent twice, in different case: accepted', async () => {
    const metadata = { 'mibo.platform_id': sales.toUpperCase() };
    const answer = await post({ platformId: sales, metadata, spans }, { key: unrestricted });
    expect(answer.status).toBe(201);
    expect(JSON.parse(only().message.toString()).metadata['mibo.platform_id']).toBe(sales);
  });

  test.for([
    ['is not JSON', '{"spans":[', 'VALIDATION_ERROR'],
    ['is empty', '', 'VALIDATION_ERROR'],
    ['is a list', '[]', 'VALIDATION_ERROR'],
    ['has spans that are no list', '{"spans":{}}', 'VALIDATION_ERROR'],
    ['has a span that is no object', '{"spans":[1]}', 'VALIDATION_ERROR'],
    ['is neither flat nor an envelope', '{"hello":1}', 'VALIDATION_ERROR'],
    ['is both', '{"spans":[],"resourceSpans":[]}', 'VALIDATION_ERROR'],
    ['names its agent by a number', '{"platformId":42,"spans":[]}', 'VALIDATION_ERROR'],
  ] as const)('%s: 400 in words', async ([, body, code]) => {
    const answer = await post(body);
    expect(answer.status).toBe(400);
    const error = errorOf(answer);
    expect(error.code).toBe(code);
    expect(error.message.length).toBeGreaterThan(20);
    expect(sink.received).toEqual([]);
  });

  test('is over 10 MiB: the words that the n8n node looks for', async () => {
    const answer = await post(`{"spans":[],"a":"${'x'.repeat(10 * 1024 * 1024)}"}`);
    expect(answer.status).toBe(413);
    const error = errorOf(answer);
    expect(error.code).toBe('PAYLOAD_TOO_LARGE');
    expect(error.message).toMatch(/payload too large/);
  });

  test('names an agent out of reach: the word that the n8n node looks for', async () => {
    const platformId = '11111111-2222-4333-8444-555555555555';
    const answer = await post({ platformId, spans }, { key: unrestricted });
    expect(answer.status).toBe(403);
    const error = errorOf(answer);
    expect(error.code).toBe('PLATFORM_NOT_ALLOWED');
    expect(error.message).toMatch(/restricted/);
  });

  test('comes without a key: 401 in the same shape', async () => {
    const headers = ['Content-Type', 'application/json'];
    const path = '/public/traces';
    const answer = await http({ port: gateway.ports.http, path, headers, body: '{}' });
    expect(answer.status).toBe(401);
    expect(errorOf(answer).code).toBe('MISSING_API_KEY');
  });
});

describe('an OTLP envelope on the same path', () => {
  test.for(['application/json', 'application/x-protobuf'] as const)(
    '%s: answered as OTLP, forwarded as OTLP',
    async (type) => {
      const body = makeExport({ spans: 3 });
      const answer = await http({
        port: gateway.ports.http,
        path: '/public/traces',
        headers: ['Content-Type', type, 'x-api-key', single, 'x-request-id', 'chat-9'],
        body: type === 'application/json' ? body.json : body.proto,
      });
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toBe(type);
      expect(answer.body.toString()).toBe(type === 'application/json' ? '{}' : '');
      const { path, headers } = only();
      expect(path).toBe('/v1/traces');
      expect(headers['x-request-id']).toBe('chat-9');
      expect(sink.acceptedSpanIds()).toEqual(body.spanIds.flat());
    },
  );

  test('that is refused has the shape of Your API', async () => {
    const answer = await http({
      port: gateway.ports.http,
      path: '/public/traces',
      headers: ['Content-Type', 'application/x-protobuf', 'x-api-key', single],
      body: Buffer.from('0aff01', 'hex'),
    });
    expect(answer.status).toBe(400);
    expect(errorOf(answer).code).toBe('VALIDATION_ERROR');
  });
});

test('GET is answered with what is allowed', async () => {
  const path = '/public/traces';
  const answer = await http({ port: gateway.ports.http, path, method: 'GET' });
  expect(answer.status).toBe(405);
  expect(answer.headers.allow).toBe('POST');
  expect(errorOf(answer).code).toBe('METHOD_NOT_ALLOWED');
});

test('GET /health is answered without a key', async () => {
  const answer = await http({ port: gateway.ports.http, path: '/health', method: 'GET' });
  expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([200, { status: 'ok' }]);
});
