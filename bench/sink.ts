/**
 * The downstream of a run, as its own process: answers every delivery at once and counts its spans.
 * Talks to the benchmark over the process channel.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveCalls } from './child.ts';
import { makePayloads } from './payloads.ts';
import { createRecognizer, type Recognizer } from './recognizer.ts';
import type { BodySpec } from './rows.ts';

export type SinkCounts = {
  requests: number;
  spans: number;
  misrouted: number;
  /** Bodies that could not be read; never zero by design of the gateway. */
  unreadable: number;
};

export type SinkCalls = {
  /** Opens the listener; resolves with its port. */
  open(): Promise<number>;
  /** From here on counts start at zero, and these bodies are the known ones. */
  expect(spec: BodySpec & { anyAgent: boolean }): SinkCounts;
  counts(): SinkCounts;
};

let recognize: Recognizer = createRecognizer([]);
let anyAgent = false;
let counts: SinkCounts = { requests: 0, spans: 0, misrouted: 0, unreadable: 0 };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => void chunks.push(chunk));
  request.on('end', () => take(request, response, chunks));
});
// A kept connection that idles between two phases of a row is not closed under the sender.
server.keepAliveTimeout = 60_000;

function take(request: IncomingMessage, response: ServerResponse, chunks: Buffer[]): void {
  const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  counts.requests += 1;
  try {
    const { spans, misrouted } = recognize(body, {
      encoding: request.headers['content-encoding'] ?? 'identity',
      agentId: String(request.headers['x-mibo-platform-id']),
    });
    counts.spans += spans;
    if (!anyAgent) counts.misrouted += misrouted;
  } catch {
    counts.unreadable += 1;
  }
  response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 });
  response.end();
}

serveCalls<SinkCalls>({
  open: () =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    }),
  expect(spec) {
    recognize = createRecognizer(makePayloads(spec));
    anyAgent = spec.anyAgent;
    counts = { requests: 0, spans: 0, misrouted: 0, unreadable: 0 };
    return counts;
  },
  counts: () => counts,
});
