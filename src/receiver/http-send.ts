/**
 * Answers over HTTP, and what becomes of a connection whose request was answered unread.
 *
 * A socket that is closed with unread bytes is reset, and the reset can overtake the answer. So a
 * small rest is read and thrown away, and behind a large one we listen on for a moment.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Shared } from './exchange.ts';
import { endUnread } from './grpc-session.ts';
import type { Answer } from './respond.ts';

export type RequestOnWire = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly shared: Shared;
  /** Nothing more can be read from the connection. */
  broken: boolean;
};

const restBytesMax = 64 * 1024;
/** A client that looks for an answer only when it has sent everything gets one up to here. */
const lingerBytesMax = 64 * 1024 * 1024;
const lingerMs = 2000;

export function send(
  wire: RequestOnWire,
  answer: Answer,
  gatewayRequestId: string | undefined,
): void {
  const { request, response } = wire;
  if (response.destroyed || response.headersSent) return;
  const headers = answer.headers.concat('Content-Length', String(answer.body.length));
  if (gatewayRequestId !== undefined) headers.push('x-mibo-gateway-request-id', gatewayRequestId);
  if (request.httpVersionMajor > 1) sendHttp2(wire, answer, headers);
  else sendHttp1(wire, answer, headers);
}

function sendHttp1(wire: RequestOnWire, answer: Answer, headers: string[]): void {
  const { response } = wire;
  const abandoned = isAbandoned(wire);
  if (abandoned || wire.broken || wire.shared.stopping) headers.push('Connection', 'close');
  if (answer.reason === undefined) response.writeHead(answer.status, headers);
  else response.writeHead(answer.status, answer.reason, headers);
  if (!abandoned) {
    // Without a body, head and end go out in one write.
    if (answer.body.length === 0) response.end();
    else response.end(answer.body);
    return;
  }
  // Complete for the client by its length; ending it would close the connection at once.
  response.write(answer.body);
  linger(wire);
}

/** HTTP/2 has no reason phrase, and ends one stream without touching its neighbours. */
function sendHttp2({ request, response }: RequestOnWire, answer: Answer, headers: string[]): void {
  response.writeHead(answer.status, headers);
  response.end(answer.body);
  if (!request.complete) endUnread((response as unknown as Http2ServerResponse).stream);
}

/** Whether more is to come than is worth reading for the connection's sake. */
function isAbandoned({ request, broken }: RequestOnWire): boolean {
  if (request.complete || broken) return false;
  const { headers } = request;
  const chunked = headers['transfer-encoding'] !== undefined;
  const declaredBytes = Number(headers['content-length'] ?? 0);
  if (!chunked && declaredBytes === 0) return false;
  return chunked || declaredBytes > restBytesMax;
}

function linger({ request, response, shared }: RequestOnWire): void {
  let leftBytes = lingerBytesMax;
  function end(): void {
    cancel();
    response.end();
  }
  const cancel = shared.options.clock.after(lingerMs, end);
  request.on('data', (piece: Buffer) => {
    leftBytes -= piece.length;
    if (leftBytes < 0) end();
  });
  request.on('end', end);
  request.on('close', end);
  request.resume();
}
