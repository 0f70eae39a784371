/**
 * gRPC as bytes on HTTP/2, so that a test decides about every frame. Reads both forms of an
 * answer: message and trailers, or trailers only.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import {
  type PartialSuccess,
  readExportResponse,
  readRetryInfo,
  readStatus,
} from './read-answer.ts';

export const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

export type GrpcAnswer = {
  readonly httpStatus: number;
  /** grpc-status. */
  readonly status: number;
  /** grpc-message, percent-decoded. */
  readonly message: string;
  /** Response headers and trailers together. */
  readonly fields: Readonly<Record<string, string>>;
  /** The response message without its prefix; undefined for trailers only. */
  readonly reply: Buffer | undefined;
};

export type GrpcCall = {
  readonly path?: string;
  /** Name, value, name, value; content-type and te are added if they are missing. */
  readonly headers?: readonly string[];
  /** The request stream as sent, prefix included. */
  readonly body?: Buffer;
};

export type GrpcClient = {
  readonly session: ClientHttp2Session;
  call(call: GrpcCall): Promise<GrpcAnswer>;
  /** The head is sent; the test writes the body as it likes. */
  open(call: GrpcCall): { stream: ClientHttp2Stream; answer: Promise<GrpcAnswer> };
  close(): void;
};

export function grpcClient(port: number): GrpcClient {
  // Node's own bound of 10 MB would make this client reset its large uploads by itself.
  const session = connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 10_000 });
  session.on('error', () => {});
  const open = (call: GrpcCall) => {
    const stream = session.request(heads(call), { endStream: false });
    const answer = readStream(stream);
    answer.catch(() => {});
    return { stream, answer };
  };
  return {
    session,
    open,
    call(call) {
      const { stream, answer } = open(call);
      stream.end(call.body);
      return answer;
    },
    close: () => session.destroy(),
  };
}

function heads(call: GrpcCall): Record<string, string | string[]> {
  const heads: Record<string, string | string[]> = {
    ':method': 'POST',
    ':path': call.path ?? exportPath,
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const { headers = [] } = call;
  const given = new Set<string>();
  for (let index = 0; index < headers.length; index += 2) {
    const name = (headers[index] ?? '').toLowerCase();
    const value = headers[index + 1] ?? '';
    const before = heads[name];
    heads[name] = given.has(name) && before !== undefined ? [before, value].flat() : value;
    given.add(name);
  }
  return heads;
}

function readStream(stream: ClientHttp2Stream): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const fields: Record<string, string> = {};
    const chunks: Buffer[] = [];
    const take = (part: object) => {
      for (const [name, value] of Object.entries(part)) fields[name] = String(value);
    };
    stream.on('response', take);
    stream.on('trailers', take);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    // The trailers are the answer; a reset after them only stops the upload.
    stream.on('error', (error) => {
      if (fields['grpc-status'] === undefined) reject(error);
    });
    stream.on('close', () => {
      if (fields[':status'] === undefined) reject(new Error('the stream closed without an answer'));
      else resolve(answerOf(fields, Buffer.concat(chunks)));
    });
  });
}

function answerOf(fields: Record<string, string>, body: Buffer): GrpcAnswer {
  return {
    httpStatus: Number(fields[':status']),
    status: Number(fields['grpc-status'] ?? Number.NaN),
    message: decodeURIComponent(fields['grpc-message'] ?? ''),
    fields,
    reply: body.length === 0 ? undefined : body.subarray(5),
  };
}

/** The 5-byte prefix and the message. */
export function framed(message: Buffer, compressed = false): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed ? 1 : 0;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Both places where clients look for the wait, in milliseconds. */
export function retryInfoOf(answer: GrpcAnswer): {
  readonly inStatus: number | undefined;
  readonly inTrailer: number | undefined;
} {
  const status = answer.fields['grpc-status-details-bin'];
  const trailer = answer.fields['google.rpc.retryinfo-bin'];
  return {
    inStatus:
      status === undefined ? undefined : readStatus(Buffer.from(status, 'base64')).retryDelayMs,
    inTrailer: trailer === undefined ? undefined : readRetryInfo(Buffer.from(trailer, 'base64')),
  };
}

export function partialOf(answer: GrpcAnswer): PartialSuccess | undefined {
  return answer.reply === undefined ? undefined : readExportResponse(answer.reply);
}
