import { expect, test } from 'vitest';
import { countSpans } from '../../bench/count-spans.ts';
import { agentIds, loadExportType, makePayloads } from '../../bench/payloads.ts';
import { createRecognizer } from '../../bench/recognizer.ts';

const plain = { spans: 512, encoding: 'proto', compression: 'identity', named: true } as const;

function decodedSpans(message: Buffer): number {
  const decoded = loadExportType().toObject(loadExportType().decode(message)) as {
    resourceSpans: { scopeSpans: { spans: unknown[] }[] }[];
  };
  return decoded.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))
    .length;
}

test('512 spans are about 250 KB, and about 50 KB under gzip', () => {
  const sizes = (compression: 'identity' | 'gzip') =>
    makePayloads({ ...plain, compression }).map(({ body }) => body.length / 1000);
  for (const size of sizes('identity')) expect(size).toBeGreaterThan(240);
  for (const size of sizes('identity')) expect(size).toBeLessThan(270);
  for (const size of sizes('gzip')) expect(size).toBeGreaterThan(45);
  for (const size of sizes('gzip')) expect(size).toBeLessThan(60);
});

test('every process of a run makes the same bodies, and no two of them are alike', () => {
  const bodies = makePayloads({ ...plain, spans: 1 }).map(({ body }) => body.toString('hex'));
  const again = makePayloads({ ...plain, spans: 1 }).map(({ body }) => body.toString('hex'));
  expect(again).toEqual(bodies);
  expect(new Set(bodies).size).toBe(bodies.length);
});

test('the sink counts spans as a decoder does', () => {
  for (const { message } of makePayloads(plain)) {
    expect(decodedSpans(message)).toBe(512);
    expect(countSpans(message)).toBe(512);
  }
  expect(() => countSpans(makePayloads(plain)[0]?.message.subarray(0, -1) as Buffer)).toThrow();
});

test.each(['identity', 'gzip'] as const)('joined %s bodies are each recognised', (compression) => {
  const payloads = makePayloads({ ...plain, compression });
  const [first, , , , fifth] = payloads;
  const joined = Buffer.concat([first?.body as Buffer, fifth?.body as Buffer]);
  const recognize = createRecognizer(payloads);
  const agentId = first?.agentId as string;
  expect(recognize(joined, { encoding: compression, agentId })).toEqual({
    spans: 1024,
    misrouted: 0,
  });
  const other = agentIds[3];
  expect(recognize(joined, { encoding: compression, agentId: other }).misrouted).toBe(1024);
});

test.each(['identity', 'gzip'] as const)(
  'unknown %s bodies are counted all the same',
  (encoding) => {
    const [first, second] = makePayloads({ ...plain, compression: encoding });
    const recognize = createRecognizer([second as typeof first & object]);
    const agentId = first?.agentId as string;
    const mixed = Buffer.concat([second?.body as Buffer, first?.body as Buffer]);
    expect(recognize(mixed, { encoding, agentId })).toEqual({ spans: 1024, misrouted: 512 });
  },
);

test('a body that lost a byte is no known one', () => {
  const payloads = makePayloads({ ...plain, spans: 1 });
  const [first] = payloads;
  const cut = Buffer.from(first?.body as Buffer).subarray(0, -1);
  const recognize = createRecognizer(payloads);
  expect(() => recognize(cut, { encoding: 'identity', agentId: '' })).toThrow();
});
