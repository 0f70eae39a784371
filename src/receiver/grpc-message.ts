/**
 * The length-prefixed message of a unary call (grpc/doc/PROTOCOL-HTTP2.md):
 *
 *   | compressed flag: 1 byte, 0 or 1 | length: 4 bytes, big-endian | message |
 *
 * Exactly one message is a request. Prefix and message arrive in pieces of any size.
 */
import { GatewayError } from '../core/errors.ts';
import type { Sink } from './read-body.ts';
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
  let message: Buffer | undefined;
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

  function append(piece: Buffer): void {
    if (length === undefined || piece.length === 0) return;
    if (arrived + piece.length > length) {
      throw malformed('send one message per call: more bytes follow the first');
    }
    // Most messages arrive in one piece, which is then the message: no copy.
    if (message === undefined && piece.length === length) message = piece;
    else message ??= Buffer.allocUnsafeSlow(length);
    if (message !== piece) piece.copy(message, arrived);
    arrived += piece.length;
  }

  return {
    push(piece) {
      if (length !== undefined) {
        append(piece);
        return undefined;
      }
      prefix = prefix.length === 0 ? piece : Buffer.concat([prefix, piece]);
      if (prefix.length < prefixBytes) return undefined;
      length = readPrefix();
      const rest = prefix.subarray(prefixBytes);
      const wait = limits.room.take(length);
      if (wait !== undefined) return wait.then(() => append(rest));
      append(rest);
      return undefined;
    },
    finish() {
      if (length === undefined || arrived < length) {
        throw malformed('send the whole message: the call ended before it was complete');
      }
      return { compressed, message: message ?? Buffer.alloc(0) };
    },
  };
}

function malformed(hint: string): GatewayError {
  return new GatewayError('malformed', hint);
}
