/** The body of an HTTP request: checks, room, reading, inflating. */
import type { IncomingBody } from '../core/incoming.ts';
import { compressionOf } from './content.ts';
import type { RequestOnWire } from './http-send.ts';
import { inflate } from './inflate.ts';
import { collect, firstRoomBytes, growingSink, sizedSink } from './read-body.ts';
import { type Room, tooLarge } from './room.ts';

export async function readHttpBody(
  wire: RequestOnWire,
  limits: { readonly room: Room; readonly bytesMax: number },
): Promise<Omit<IncomingBody, 'encoding'>> {
  const compression = compressionOf(wire.request.headers['content-encoding']);
  const received = await receive(wire, limits);
  if (compression === 'identity') return { compression, received, message: received };
  const { message, portable } = await inflate(received, compression, limits);
  return portable
    ? { compression, received, message }
    : { compression: 'identity', received: message, message };
}

async function receive(
  wire: RequestOnWire,
  { room, bytesMax }: { readonly room: Room; readonly bytesMax: number },
): Promise<Buffer> {
  const { request, response } = wire;
  const declared = request.headers['content-length'];
  const declaredBytes = declared === undefined ? undefined : Number(declared);
  if (declaredBytes !== undefined && declaredBytes > bytesMax) throw tooLarge(bytesMax);
  if (declaredBytes !== undefined) {
    room.mustFit(declaredBytes);
    const wait = room.take(firstRoomBytes(declaredBytes));
    if (wait !== undefined) await wait;
  }
  if (/100-continue/i.test(request.headers.expect ?? '')) response.writeContinue();
  if (declaredBytes === undefined) return collect(request, growingSink(room, bytesMax), room);
  return collect(request, sizedSink(declaredBytes, room), room);
}
