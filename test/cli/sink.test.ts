import { readFileSync, statSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSink, type Sink, type SinkDelivery } from '../../src/cli/sink.ts';
import { traceLines } from '../../src/cli/sink-lines.ts';
import { jsonToProto } from '../../src/otlp/otlp.ts';
import { createDesk } from './run-cli.ts';

const supportBot = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const traceId = '0102030405060708090a0b0c0d0e0f10';
const bodyBytesMax = 4096;

const envelope = {
  resourceSpans: [
    {
      resource: {
        attributes: [
          { key: 'mibo.platform_id', value: { stringValue: supportBot } },
          { key: 'service.name', value: { stringValue: 'my-app' } },
        ],
      },
      scopeSpans: [
        {
          spans: [
            span({ spanId: '1111111111111111', name: 'answer', endTimeUnixNano: '2240000000' }),
            span({ spanId: '2222222222222222', name: 'think', parentSpanId: '1111111111111111' }),
          ],
        },
      ],
    },
  ],
};
const flat = {
  spans: [
    { span_id: 's-2', parent_span_id: 's-1', name: 'think' },
    { span_id: 's-1', name: 'Agent', start_time_unix_nano: 0, end_time_unix_nano: '850000000' },
  ],
  platformId: supportBot,
};

function span(fields: Record<string, string>): Record<string, string> {
  return { traceId, startTimeUnixNano: '1000000000', endTimeUnixNano: '1500000000', ...fields };
}

type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

type Sending = {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body: string | Buffer;
};

const [jsonType, protoType] = ['application/json', 'application/x-protobuf'];

let sink: Sink;
let port: number;
const deliveries: SinkDelivery[] = [];

beforeEach(async () => {
  deliveries.length = 0;
  sink = createSink({
    host: '127.0.0.1',
    port: 0,
    attribute: 'mibo.platform_id',
    bodyBytesMax,
    onDelivery: (delivery) => void deliveries.push(delivery),
  });
  port = await sink.start();
});
afterEach(() => sink.stop());

function post(sending: Sending, toPort = port): Promise<Answer> {
  const { path = '/v1/traces', method = 'POST', headers = {}, body } = sending;
  return new Promise((resolve, reject) => {
    const options = {
      port: toPort,
      path,
      method,
      headers: { 'content-type': jsonType, ...headers },
    };
    const sent = request({ host: '127.0.0.1', ...options }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const { statusCode: status = 0, headers: answered } = response;
      resolve({ status, headers: answered, body: Buffer.concat(chunks) });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const proto = () => jsonToProto(Buffer.from(JSON.stringify(envelope)));
const json = JSON.stringify(envelope);

describe('OTLP', () => {
  test.each([
    ['protobuf', protoType, () => proto()],
    ['JSON', jsonType, () => Buffer.from(json)],
    ['protobuf, gzip', protoType, () => gzipSync(proto())],
    ['protobuf, deflate', protoType, () => deflateSync(proto())],
    ['JSON, zstd', jsonType, () => zstdCompressSync(json)],
  ])('%s is taken, with its spans and its trace in brief', async (name, type, body) => {
    const encoding = /gzip|deflate|zstd/.exec(name)?.[0] ?? 'identity';
    const headers = { 'content-type': type, 'content-encoding': encoding };
    const answer = await post({ headers, body: body() });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': type } });
    expect(answer.body.toString()).toBe(type === jsonType ? '{}' : '');
    expect(deliveries).toMatchObject([
      {
        kind: 'otlp',
        traces: [
          {
            agentId: supportBot,
            service: 'my-app',
            spans: 2,
            rootName: 'answer',
            durationMs: 1240,
          },
        ],
        spans: [
          { traceId, spanId: '1111111111111111', name: 'answer' },
          { traceId, spanId: '2222222222222222', name: 'think' },
        ],
      },
    ]);
  });

  test('an envelope is taken on the path of Your API too', async () => {
    const answer = await post({ path: '/public/traces', body: json });
    expect(answer.status).toBe(200);
    expect(deliveries[0]?.kind).toBe('otlp');
  });

  test('of the headers only those that matter are kept, never a key', async () => {
    const headers = {
      'x-api-key': 'mibo_a-key-that-nobody-may-see',
      authorization: 'Bearer mibo_a-key-that-nobody-may-see',
      'x-mibo-platform-id': supportBot,
      'idempotency-key': 'i-1',
    };
    await post({ headers, body: json });
    expect(deliveries[0]?.headers).toEqual({
      'content-type': jsonType,
      'x-mibo-platform-id': supportBot,
      'idempotency-key': 'i-1',
    });
  });
});

describe('flat spans', () => {
  const send = (requestId?: string) =>
    post({
      path: '/public/traces',
      headers: requestId === undefined ? {} : { 'x-request-id': requestId },
      body: JSON.stringify(flat),
    });

  test('are created, or replaced under the same x-request-id', async () => {
    const [first, again, other, unnamed] = [
      await send('chat-1'),
      await send('chat-1'),
      await send('chat-2'),
      await send(),
    ];
    const ids = [first, again, other, unnamed].map(
      ({ body }) => JSON.parse(body.toString()).data.id,
    );
    expect([first, again, other, unnamed].map(({ status }) => status)).toEqual([
      201, 200, 201, 201,
    ]);
    expect(ids[1]).toBe(ids[0]);
    expect(new Set(ids).size).toBe(3);
  });

  test('are told in brief', async () => {
    await send();
    expect(deliveries[0]).toMatchObject({
      kind: 'flat',
      traces: [{ agentId: supportBot, spans: 2, rootName: 'Agent', durationMs: 850 }],
      spans: [{ spanId: 's-2' }, { spanId: 's-1' }],
    });
  });
});

test('flat spans may write their times as numbers of nanoseconds', async () => {
  const times =
    '"start_time_unix_nano":1700000000000000001,"end_time_unix_nano":1700000000900000001';
  const body = `{"spans":[{"span_id":"s-1","name":"Agent",${times}}]}`;
  expect((await post({ path: '/public/traces', body })).status).toBe(201);
  expect(deliveries[0]?.traces[0]?.durationMs).toBeCloseTo(900, 1);
});

describe('what it refuses', () => {
  const bomb = gzipSync(Buffer.alloc(bodyBytesMax + 1));
  test.each<[string, number, Sending]>([
    ['another path', 404, { path: '/v1/metrics', body: json }],
    ['another method', 405, { method: 'PUT', body: json }],
    ['another encoding', 415, { headers: { 'content-encoding': 'br' }, body: json }],
    ['a body over the limit', 413, { body: Buffer.alloc(bodyBytesMax + 1) }],
    ['one that inflates over it', 413, { headers: { 'content-encoding': 'gzip' }, body: bomb }],
    ['a body that is not gzip', 400, { headers: { 'content-encoding': 'gzip' }, body: json }],
    ['a body that is no JSON', 400, { body: '{' }],
    ['a body that is no protobuf', 400, { headers: { 'content-type': protoType }, body: 'no' }],
    ['no spans', 400, { path: '/public/traces', body: '{"spans":[]}' }],
  ])('%s: %d', async (_, status, sending) => {
    const answer = await post(sending);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body.toString()).error.message).toMatch(/\w/);
    expect(deliveries).toEqual([]);
  });
});

describe('lines', () => {
  const at = new Date(2026, 10, 24, 12, 3, 44);

  test('name the agent where it is known, else its id', async () => {
    await post({ body: json });
    const line = (name?: string) =>
      traceLines(deliveries[0] as SinkDelivery, { at, agentName: () => name });
    expect(line('Support bot')).toEqual([
      '12:03:44  Support bot  my-app  2 spans  "answer"  1.24 s',
    ]);
    expect(line()[0]).toContain(supportBot);
  });

  test.each([
    ['without times', {}, '-'],
    ['of no length', { start_time_unix_nano: 5, end_time_unix_nano: 5 }, '<1 ms'],
    ['below a millisecond', { start_time_unix_nano: 0, end_time_unix_nano: 400_000 }, '<1 ms'],
    ['without an end', { start_time_unix_nano: 5 }, '-'],
  ])('show a trace %s honestly', async (_, times, shown) => {
    const spans = [{ span_id: '1', name: 'Agent', ...times }];
    await post({ path: '/public/traces', body: JSON.stringify({ spans }) });
    const [line] = traceLines(deliveries[0] as SinkDelivery, { at, agentName: () => 'a' });
    expect(line).toBe(`12:03:44  a  -  1 span  "Agent"  ${shown}`);
  });

  test('show OTLP spans without times as such', async () => {
    const spans = [{ traceId, spanId: '1111111111111111', name: 'answer' }];
    await post({ body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }) });
    const [line] = traceLines(deliveries[0] as SinkDelivery, { at, agentName: () => 'a' });
    expect(line).toBe('12:03:44  a  -  1 span  "answer"  -');
  });

  test('keep both quotes of a long name', async () => {
    const spans = [{ span_id: '1', name: 'x'.repeat(100) }];
    await post({ path: '/public/traces', body: JSON.stringify({ spans }) });
    const [line] = traceLines(deliveries[0] as SinkDelivery, { at, agentName: () => 'a' });
    expect(line).toMatch(/ {2}"x{60}" {2}-$/);
  });

  test('cannot be forged by a name in a trace', async () => {
    const name = 'x\n12:00:00  Sales bot\u001b[2J';
    await post({
      path: '/public/traces',
      body: JSON.stringify({ spans: [{ span_id: '1', name }] }),
    });
    const lines = traceLines(deliveries[0] as SinkDelivery, { at, agentName: () => undefined });
    expect(lines).toHaveLength(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the point
    expect(lines[0]).not.toMatch(/[\u0000-\u001f]/);
  });
});

test('a delivery is answered once it was seen, though seeing it takes a while', async () => {
  const [reached, seen] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = createSink({
    host: '127.0.0.1',
    port: 0,
    attribute: 'mibo.platform_id',
    async onDelivery() {
      reached.resolve();
      await seen.promise;
    },
  });
  const slowPort = await slow.start();
  const answers: string[] = [];
  const answer = post({ body: json }, slowPort).then(() => answers.push('delivery'));
  await reached.promise;
  // Time enough for an answer that does not wait.
  await post({ path: '/other', body: json }, slowPort);
  answers.push('other');
  seen.resolve();
  await answer;
  expect(answers).toEqual(['other', 'delivery']);
  await slow.stop();
});

test('the command prints a line and keeps a record for each delivery', async () => {
  const desk = createDesk();
  const file = join(desk.folder, 'deliveries.jsonl');
  const stop = Promise.withResolvers<string>();
  const line = Promise.withResolvers<string>();
  const ready = Promise.withResolvers<number>();
  const ended = desk.run(['sink', '--port', '0', '--file', file], {
    stopRequested: () => stop.promise,
    onStdout: line.resolve,
    onStderr: (text) => {
      const found = /127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (found !== undefined) ready.resolve(Number(found));
    },
  });
  const key = 'mibo_a-key-that-nobody-may-see';
  const body = `{"spans":[{"span_id":"1","name":"Agent","n":12345678901234567890}]}`;
  const headers = { 'x-request-id': 'chat-1', 'x-api-key': key };
  await post({ path: '/public/traces', headers, body }, await ready.promise);
  expect(await line.promise).toMatch(/^\d\d:\d\d:\d\d {2}no agent {2}- {2}1 span {2}"Agent"/);
  const kept = readFileSync(file, 'utf8');
  expect(JSON.parse(kept)).toMatchObject({
    path: '/public/traces',
    headers: { 'x-request-id': 'chat-1' },
    spans: [{ spanId: '1', name: 'Agent' }],
  });
  expect(kept).toContain('12345678901234567890');
  expect(kept).not.toContain(key);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  stop.resolve('SIGTERM');
  const { code, stdout } = await ended;
  expect({ code, last: stdout.split('\n').at(-2) }).toEqual({ code: 0, last: '# stopped' });
  desk.close();
});

test('the command names another port where its own is taken', async () => {
  const desk = createDesk();
  const { code, stderr } = await desk.run([
    ...['sink', '--port', String(port), '--file', join(desk.folder, 'kept lines')],
  ]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^ {2}mibo-gateway sink --file '\S+ \S+' --port \d+\n/m);
  expect(stderr).toContain(`127.0.0.1:${port}: another process has that port`);
  desk.close();
});
