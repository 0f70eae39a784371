/**
 * Inflating bodies within the limits.
 *
 * Small ones are inflated at once, which costs a quarter of the asynchronous way and blocks the
 * loop for a few milliseconds at most; the rest goes through the thread pool, so that a bomb dies
 * at the limit while others are served. Concatenated gzip members and zstd frames are
 * one body (RFC 1952 §2.2, RFC 8878 §3.1); anything else behind the end is malformed.
 */
import {
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
  gunzipSync,
  inflateRawSync,
  inflateSync,
  zstdDecompressSync,
} from 'node:zlib';
import type { Compression } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';
import { cutOff } from './read-body.ts';
import { type Room, tooLarge } from './room.ts';

/** How a compression is called in a hint, and the calls that undo it. */
type Method = {
  readonly label: string;
  readonly sync: typeof gunzipSync;
  readonly stream: (options: { chunkSize: number }) => ReturnType<typeof createGunzip>;
};

const methods = {
  gzip: { label: 'gzip', sync: gunzipSync, stream: createGunzip },
  deflate: { label: 'deflate', sync: inflateSync, stream: createInflate },
  deflateRaw: { label: 'deflate', sync: inflateRawSync, stream: createInflateRaw },
  zstd: { label: 'zstd', sync: zstdDecompressSync, stream: createZstdDecompress },
} as unknown as Readonly<Record<'gzip' | 'deflate' | 'deflateRaw' | 'zstd', Method>>;

/** Up to here a body is inflated on the event loop: about 1.5 ms per MiB. */
const syncReceivedBytesMax = 1024 * 1024;
const syncInflatedBytesMax = 4 * 1024 * 1024;
const streamChunkBytes = 256 * 1024;
const chunkBytesMin = 1024;

export type Inflated = {
  readonly message: Buffer;
  /** False for raw deflate, which clients send but which no one else is obliged to read. */
  readonly portable: boolean;
};

/**
 * A skippable zstd frame without content (RFC 8878 §3.1.2). Node takes up to three bytes of what
 * may become a frame for the end of the body; behind them this one cannot be read.
 */
const emptyZstdFrame = Buffer.from('502a4d1800000000', 'hex');

export async function inflate(
  received: Buffer,
  compression: Exclude<Compression, 'identity'>,
  limits: { readonly room: Room; readonly bytesMax: number },
): Promise<Inflated> {
  const raw = compression === 'deflate' && !hasZlibHeader(received);
  const method = methods[raw ? 'deflateRaw' : compression];
  const probed = compression === 'zstd' && received.length > 0;
  const whole = probed ? Buffer.concat([received, emptyZstdFrame]) : received;
  const message =
    (await inflateSmall(whole, method, limits)) ?? (await inflateLarge(whole, method, limits));
  return { message, portable: !raw };
}

/** Undefined when it turns out, or claims, not to be small. */
async function inflateSmall(
  received: Buffer,
  method: Method,
  { room, bytesMax }: { readonly room: Room; readonly bytesMax: number },
): Promise<Buffer | undefined> {
  const expected = Math.min(expectedBytes(received, method), bytesMax);
  if (received.length > syncReceivedBytesMax || expected > syncInflatedBytesMax) return undefined;
  await room.take(expected);
  const maxOutputLength = Math.min(bytesMax, syncInflatedBytesMax);
  const message = inflateNow(received, method, {
    // One more than needed, or zlib asks for a second chunk only to find that it is at the end.
    chunkSize: Math.max(expected + 1, chunkBytesMin),
    maxOutputLength,
  });
  if (message === undefined) {
    room.giveBack(expected);
    if (maxOutputLength === bytesMax) throw tooLarge(bytesMax);
    return undefined;
  }
  // The size was only a claim.
  if (message.length > expected) await room.take(message.length - expected);
  return message;
}

function inflateNow(
  received: Buffer,
  method: Method,
  options: { readonly chunkSize: number; readonly maxOutputLength: number },
): Buffer | undefined {
  try {
    // With `info` the result is the pair that the typings leave out.
    const { buffer, engine } = method.sync(received, { ...options, info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    if (engine.bytesWritten < received.length) throw trailing(method);
    return buffer;
  } catch (thrown) {
    if (codeOf(thrown) === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw faultOf(thrown, method);
  }
}

/**
 * Twice: counted, then kept. So a bomb costs no memory however far it gets, what is kept is taken
 * room for at once, and requests that grow step by step cannot block one another half-way.
 */
async function inflateLarge(
  received: Buffer,
  method: Method,
  { room, bytesMax }: { readonly room: Room; readonly bytesMax: number },
): Promise<Buffer> {
  let bytes = 0;
  await forEachPiece(received, method, (piece) => {
    bytes += piece.length;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    // The deadline came, or the client went away.
    if (room.closed) throw cutOff();
  });
  await room.take(bytes);
  const message = Buffer.allocUnsafeSlow(bytes);
  let kept = 0;
  await forEachPiece(received, method, (piece) => {
    kept += piece.copy(message, kept);
  });
  return message;
}

async function forEachPiece(
  received: Buffer,
  method: Method,
  use: (piece: Buffer) => void,
): Promise<void> {
  const inflater = method.stream({ chunkSize: streamChunkBytes });
  inflater.end(received);
  try {
    // Leaving the loop by a throw destroys the inflater.
    for await (const piece of inflater) use(piece);
  } catch (thrown) {
    throw faultOf(thrown, method);
  }
  if (inflater.bytesWritten < received.length) throw trailing(method);
}

/**
 * gzip ends with the size of its last member (ISIZE, RFC 1952 §2.3.1). It is the sender's claim:
 * believed as far as the compression can expand at all, for the size of a first buffer only.
 */
function expectedBytes(received: Buffer, method: Method): number {
  const guess = received.length * 6;
  if (method.label !== 'gzip' || received.length < 18) return guess;
  const claimed = received.readUInt32LE(received.length - 4);
  return claimed > received.length * 1032 ? guess : claimed;
}

/** RFC 1950 §2.2: method 8, and the two bytes are a multiple of 31. */
function hasZlibHeader(received: Buffer): boolean {
  if (received.length < 2) return true;
  const head = received.readUInt16BE(0);
  return (head & 0x0f00) === 0x0800 && head % 31 === 0;
}

function trailing({ label }: Method): GatewayError {
  return new GatewayError(
    'malformed',
    `send one compressed body: Content-Encoding ${label}, but other bytes follow its end`,
  );
}

function faultOf(thrown: unknown, { label }: Method): GatewayError {
  const code = String(codeOf(thrown));
  // Anything else is no word of zlib's about the bytes.
  if (!/^(Z_|ZSTD_)/.test(code)) return GatewayError.from(thrown);
  const hint =
    code === 'Z_BUF_ERROR'
      ? `send the whole body: Content-Encoding ${label}, but the body is cut off`
      : `send a body that is ${label} or drop Content-Encoding: it is cut off, or not ${label}`;
  return new GatewayError('malformed', hint, { cause: thrown });
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
}
