/**
 * OTLP over HTTP/1.1 as cheaply as it can be sent: whole requests made beforehand, written to a
 * plain socket; of an answer only the status and the end are looked at.
 */
import { connect, type Socket } from 'node:net';
import {
  type Feeder,
  type LoadClient,
  Phase,
  type PhaseResult,
  type RequestForm,
  type Target,
} from './load-client.ts';

export async function createHttpLoad(target: Target): Promise<LoadClient> {
  const requests = httpRequestsOf(target);
  const lanes = await Promise.all(
    Array.from({ length: target.connections }, () =>
      openHttpLane(target.port, (index) => requests[index] as Buffer),
    ),
  );
  return {
    run: (durationMs) =>
      new Promise<PhaseResult>((resolve) => {
        const phase = new Phase({ payloads: target.payloads, durationMs }, resolve);
        for (const lane of lanes) lane.start(phase);
      }),
    close() {
      for (const lane of lanes) lane.close();
    },
  };
}

export function httpRequestsOf(target: RequestForm): Buffer[] {
  return target.payloads.map(({ body }) => Buffer.concat([head(target, body), body]));
}

function head(target: RequestForm, body: Buffer): Buffer {
  const lines = [
    'POST /v1/traces HTTP/1.1',
    `host: 127.0.0.1:${target.port}`,
    'user-agent: OTel-OTLP-Exporter-Python/1.39.0',
    'accept-encoding: gzip, deflate',
    'accept: */*',
    `content-type: ${target.contentType}`,
    `content-length: ${body.length}`,
  ];
  if (target.compression !== 'identity') lines.push(`content-encoding: ${target.compression}`);
  if (target.apiKey !== '') lines.push(`x-api-key: ${target.apiKey}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

export type HttpLane = {
  start(feeder: Feeder): void;
  /** The peer has closed it. */
  readonly ended: boolean;
  close(): void;
};

/** One connection with one request under way; the answer starts the next one. */
export async function openHttpLane(
  port: number,
  requestOf: (index: number) => Buffer,
): Promise<HttpLane> {
  const socket = await opened(port);
  let feeder: Feeder | undefined;
  let request = { index: 0, sentAtMs: 0 };
  let unread = '';

  function sendNext(): void {
    const sentAtMs = performance.now();
    const index = feeder?.next(sentAtMs);
    if (index === undefined) {
      feeder = undefined;
      return;
    }
    request = { index, sentAtMs };
    socket.write(requestOf(index));
  }

  function settle(status: string): void {
    feeder?.answered(status, status === '200', request);
    sendNext();
  }

  socket.on('data', (chunk: Buffer) => {
    unread = unread === '' ? chunk.toString('latin1') : unread + chunk.toString('latin1');
    const status = wholeAnswer(unread);
    if (status === undefined) return;
    unread = '';
    settle(status);
  });
  socket.on('close', () => {
    if (feeder === undefined) return;
    // Nothing more can be sent here; the row fails by this count.
    feeder.answered('closed', false, request);
    feeder = undefined;
  });
  socket.on('error', () => {});
  return {
    start(next) {
      feeder = next;
      sendNext();
    },
    get ended() {
      return socket.destroyed;
    },
    close: () => socket.destroy(),
  };
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket.off('error', reject)));
  });
}

/**
 * The status and, for 200, whether the answer is a full success; undefined while bytes are missing.
 * A partial success has a body longer than `{}`, which is not success here.
 */
function wholeAnswer(text: string): string | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const status = text.slice(9, 12);
  const length = /\r\ncontent-length: *(\d+)/i.exec(text);
  // Without a length the body is chunked, and ends with its empty chunk.
  if (length === null) return text.endsWith('0\r\n\r\n') ? status : undefined;
  const bodyBytes = Number(length[1]);
  if (text.length < headEnd + 4 + bodyBytes) return undefined;
  return status === '200' && bodyBytes > 2 ? 'partial' : status;
}
