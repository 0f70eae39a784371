/**
 * The little of HTTP/2 (RFC 9113) and HPACK (RFC 7541) that a load client needs: frames, and a
 * request head that is the same every time.
 */

export const frameType = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

export const frameFlag = { endStream: 1, ack: 1, endHeaders: 4 } as const;
export const settingId = {
  headerTableSize: 1,
  enablePush: 2,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;
export const frameHeadBytes = 9;
export const windowMax = 0x7fffffff;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export type FrameHead = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly bytes: number;
};

/** Writes the 9 bytes `length(24) type(8) flags(8) stream(32)`. */
export function writeFrameHead(into: Buffer, at: number, head: FrameHead): void {
  into.writeUIntBE(head.bytes, at, 3);
  into[at + 3] = head.type;
  into[at + 4] = head.flags;
  into.writeUInt32BE(head.stream, at + 5);
}

export function frame(head: Omit<FrameHead, 'bytes'>, content: Buffer): Buffer {
  const whole = Buffer.allocUnsafe(frameHeadBytes + content.length);
  writeFrameHead(whole, 0, { ...head, bytes: content.length });
  content.copy(whole, frameHeadBytes);
  return whole;
}

export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const content = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], index) => {
    content.writeUInt16BE(id, index * 6);
    content.writeUInt32BE(value, index * 6 + 2);
  });
  return frame({ type: frameType.settings, flags: 0, stream: 0 }, content);
}

export function windowUpdateFrame(increment: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeUInt32BE(increment);
  return frame({ type: frameType.windowUpdate, flags: 0, stream: 0 }, content);
}

/** Entries of HPACK's static table whole, or by name. */
const staticHead = Buffer.from([0x83 /* :method POST */, 0x86 /* :scheme http */]);
const dynamicTableStart = 62;

/**
 * The block that teaches the peer these fields, for the first request of a connection, and the one
 * that only points at them, for all later ones: what real gRPC clients send. Field names are
 * lower-case; at most 60 fields, each under 127 bytes.
 */
export function requestHeads(fields: readonly (readonly [string, string])[]): {
  first: Buffer;
  later: Buffer;
} {
  const literal = fields.flatMap(([name, value]) => [
    Buffer.from([0x40, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
  // The newest entry has the lowest index.
  const indices = fields.map((_, at) => 0x80 | (dynamicTableStart + fields.length - 1 - at));
  return {
    first: Buffer.concat([staticHead, ...literal]),
    later: Buffer.concat([staticHead, Buffer.from(indices)]),
  };
}

/** `grpc-status` in HPACK's Huffman code, as nghttp2 writes it, and as plain text. */
const statusNames = ['889acac8b21234da8f', `0b${Buffer.from('grpc-status').toString('hex')}`].map(
  (hex) => Buffer.from(hex, 'hex'),
);

/**
 * The gRPC status in a block of trailers from a peer that was given no header table; undefined if
 * it is not there. Huffman code makes no number of two digits shorter, so it stands as text.
 */
export function grpcStatusIn(block: Buffer): number | undefined {
  for (const name of statusNames) {
    const at = block.indexOf(name);
    if (at < 0) continue;
    const value = at + name.length;
    const length = block[value] as number;
    if (length === 1 || length === 2) {
      return Number(block.toString('latin1', value + 1, value + 1 + length));
    }
  }
  return undefined;
}
