/**
 * The body of a request to the downstream: the bytes as they arrived wherever the configuration
 * allows it, otherwise inflated, written as JSON, or compressed.
 */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import type { Compression, Delivery } from '../core/delivery.ts';
import { protoToJson } from '../otlp/otlp.ts';
import type { DownstreamOptions } from './forwarder.ts';
import type { BodyForm } from './request-head.ts';

export type RequestBody = BodyForm & {
  /** In order; together they are the body. */
  readonly pieces: readonly Buffer[];
};

export type RequestBodyOf = (deliveries: readonly Delivery[]) => Promise<RequestBody>;

/** Several deliveries that inflate to more than this are refused, and so sent in halves. */
const joinedInflatedBytesMax = 32 * 1024 * 1024;
/** One delivery was inflated before, within the receiver's limit; this only guards against rot. */
const inflatedBytesMax = 1024 * 1024 * 1024;

const inflaters = {
  gzip: promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gunzip),
  deflate: promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.inflate),
  zstd: promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress),
};
const gzip = promisify<zlib.InputType, zlib.ZlibOptions, Buffer>(zlib.gzip);
const zstd = promisify<zlib.InputType, zlib.ZstdOptions, Buffer>(zlib.zstdCompress);

/** Rejects if the deliveries cannot be written in the configured form. */
export function createRequestBody(downstream: DownstreamOptions): RequestBodyOf {
  return async (deliveries) => {
    const [first] = deliveries;
    if (first === undefined) throw new TypeError('a request carries at least one delivery');
    const transcoded = first.encoding === 'proto' && downstream.encoding === 'json';
    const compression = wantedCompression(downstream, transcoded ? 'identity' : first.compression);
    if (!transcoded && compression === first.compression) {
      const bytes = deliveries.reduce((sum, delivery) => sum + delivery.bodyBytes, 0);
      const pieces = deliveries.flatMap((delivery) => delivery.body);
      return { encoding: first.encoding, compression, pieces, bytes };
    }
    const message = await inflate(deliveries);
    const written = transcoded ? protoToJson(message) : message;
    const piece = await compress(written, compression);
    const encoding = transcoded ? 'json' : first.encoding;
    return { encoding, compression, pieces: [piece], bytes: piece.length };
  };
}

/** `asItIs`: what costs nothing more. JSON of our own making is not compressed unless asked for. */
function wantedCompression(downstream: DownstreamOptions, asItIs: Compression): Compression {
  switch (downstream.compression) {
    case 'as_received':
      return asItIs;
    case 'none':
      return 'identity';
    default:
      return downstream.compression;
  }
}

/** The messages of all deliveries, one after the other. */
async function inflate(deliveries: readonly Delivery[]): Promise<Buffer> {
  const bytesMax = deliveries.length > 1 ? joinedInflatedBytesMax : inflatedBytesMax;
  const messages: Buffer[] = [];
  let bytes = 0;
  for (const { body, compression } of deliveries) {
    const written = body.length === 1 && body[0] !== undefined ? body[0] : Buffer.concat(body);
    const maxOutputLength = Math.max(1, bytesMax - bytes);
    const message =
      compression === 'identity'
        ? written
        : await inflaters[compression](written, { maxOutputLength });
    bytes += message.length;
    messages.push(message);
  }
  return messages.length === 1 && messages[0] !== undefined ? messages[0] : Buffer.concat(messages);
}

/** Fast levels: on the way out the time of this machine is dearer than the last tenth of bytes. */
function compress(message: Buffer, compression: Compression): Promise<Buffer> | Buffer {
  if (compression === 'gzip') return gzip(message, { level: zlib.constants.Z_BEST_SPEED });
  if (compression === 'zstd') return zstd(message, {});
  return message;
}
