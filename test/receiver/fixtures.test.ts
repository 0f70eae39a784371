/** What real exporters sent, byte for byte, is read to the message that they meant. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callGrpc, sendHttp } from './clients.ts';
import { goodKey, startReceiver, type UnderTest } from './receiver-under-test.ts';

const folder = resolve(import.meta.dirname, '../fixtures');
const names = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

type Captured = {
  readonly protocol: string;
  readonly method: string;
  readonly path: string;
  readonly headers: [string, string][];
};
type Expected = {
  readonly decodes: boolean;
  readonly stage?: string;
  readonly messageSha256?: string;
};

let under: UnderTest;
beforeAll(async () => {
  under = await startReceiver();
});
afterAll(() => under.stop());

function headersOf({ headers }: Captured): Record<string, string> {
  const kept = headers.filter(([name]) => !/^(:|host$|connection$|te$)/i.test(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name.toLowerCase(),
      name.toLowerCase() === 'x-api-key' ? goodKey : value,
    ]),
  );
}

async function statusOf(captured: Captured, body: Buffer): Promise<boolean> {
  const { path } = captured;
  const headers = headersOf(captured);
  if (captured.protocol === 'grpc') {
    const { status } = await callGrpc(under.grpcPort, { path, headers, pieces: [body] });
    expect([0, 3]).toContain(status);
    return status === 0;
  }
  const chunked = headers['transfer-encoding'] !== undefined;
  const sent = chunked ? { chunks: [body] } : { body };
  const { status } = await sendHttp(under.httpPort, { path, headers, ...sent });
  expect([200, 400]).toContain(status);
  return status === 200;
}

test.for(names)('%s', async (name) => {
  const read = (file: string) => readFileSync(join(folder, name, file));
  const captured: Captured = JSON.parse(read('request.json').toString());
  const expected: Expected = JSON.parse(read('expected.json').toString());
  under.received.length = 0;
  const accepted = await statusOf(captured, read('body.bin'));
  // What fails later than the transport is for others to refuse.
  expect(accepted).toBe(expected.decodes || expected.stage !== 'transport');
  const hash = expected.messageSha256;
  if (!accepted || hash === undefined) return;
  const message = under.received[0]?.body.message ?? Buffer.alloc(0);
  expect(createHash('sha256').update(message).digest('hex')).toBe(hash);
});
