/**
 * The length-prefixed message of a unary call (grpc/doc/PROTOCOL-HTTP2.md):
 *
 *   | compressed flag: 1 byte, 0 or 1 | length: 4 bytes, big-endian | message |
 *
 * Exactly one message is a request. Prefix and message arrive in pieces of any size.
 */
import { GatewayError } from '../core/errors.ts';
import { firstRoomBytes, type Sink, sizedSink } from './read-body.ts';
import { type Room, tooLarge } from './room.ts';

export type FramedMessage = { readonly compressed: boolean; readonly message: Buffer };

export type FrameLimits = {
  readonly room: Room;
  readonly bytesMax: number;
  /** Whether a set flag has a meaning, which `grpc-encoding` gives it. */
  readonly mayBeCompressed: boolean;
};

const prefixBytes = 5;

export function frameSink(limits: FrameLimits): Sink<FramedMessage> {
  let prefix: Buffer = Buffer.alloc(0);
  let compressed = false;
  let length: number | undefined;
  let message: Sink<Buffer> | undefined;
  let arrived = 0;

  function readPrefix(): number {
    const flag = prefix[0];
    if (flag !== 0 && flag !== 1) throw malformed('send gRPC messages: the prefix is not one');
    if (flag === 1 && !limits.mayBeCompressed) {
      throw malformed('set grpc-encoding: the message is flagged as compressed without it');
    }
    compressed = flag === 1;
    const declared = prefix.readUInt32BE(1);
    if (declared > limits.bytesMax) throw tooLarge(limits.bytesMax);
    return declared;
  }

  function append(piece: Buffer): Promise<void> | undefined {
    if (length === undefined || message === undefined || piece.length === 0) return undefined;
    if (arrived + piece.length > length) {
      throw malformed('send one message per call: more bytes follow the first');
    }
    arrived += piece.length;
    return message.push(piece);
  }

  return {
    push(piece) {
      if (length !== undefined) return append(piece);
      prefix = prefix.length === 0 ? piece : Buffer.concat([prefix, piece]);
      if (prefix.length < prefixBytes) return undefined;
      length = readPrefix();
      const rest = prefix.subarray(prefixBytes);
      message = sizedSink(length, limits.room);
      limits.room.mustFit(length);
      const wait = limits.room.take(firstRoomBytes(length));
      return wait === undefined ? append(rest) : wait.then(() => append(rest));
    },
    finish() {
      if (message === undefined || length === undefined || arrived < length) {
        throw malformed('send the whole message: the call ended before it was complete');
      }
      return { compressed, message: message.finish() };
    },
  };
}

function malformed(hint: string): GatewayError {
  return new GatewayError('malformed', hint);
}
