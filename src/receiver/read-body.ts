/**
 * Reading a request body: the stream's driver and the two ways to keep what arrives.
 *
 * Promise: a read always settles, also when the client goes away; limits hold while bytes arrive;
 * nothing is kept that room was not taken for; nothing is read while room is waited for.
 */
import type { Readable } from 'node:stream';
import { GatewayError } from '../core/errors.ts';
import { type Room, tooLarge } from './room.ts';

/** Keeps the pieces of a body. Both may throw `GatewayError`. */
export type Sink<Result> = {
  /** A promise means: no more pieces until it has resolved. The piece is the sink's to keep. */
  push(piece: Buffer): Promise<void> | undefined;
  finish(): Result;
};

export function cutOff(): GatewayError {
  return new GatewayError(
    'malformed',
    'send the whole body: the connection ended before it was complete',
  );
}

/** Also a request of node:http2, which stands in front of its `stream`. */
type Body = Readable & {
  readonly aborted?: boolean;
  readonly stream?: { readonly destroyed: boolean };
};

/**
 * Drives `stream` into `sink` until the end, a limit, or the client's disappearance, of which its
 * `close` tells. Its `error` is for whoever owns the stream.
 */
export function collect<Result>(stream: Body, sink: Sink<Result>, room: Room): Promise<Result> {
  return new Promise((resolve, reject) => {
    let over = false;
    /** Set while the sink waits for room. */
    let waiting: Promise<void> | undefined;
    function fail(thrown: unknown): void {
      over = true;
      reject(GatewayError.from(thrown));
    }
    function gone(): void {
      if (!over) fail(cutOff());
    }
    function resume(): void {
      waiting = undefined;
      stream.resume();
    }
    function finish(): void {
      if (over) return;
      over = true;
      try {
        resolve(sink.finish());
      } catch (thrown) {
        reject(GatewayError.from(thrown));
      }
    }
    stream.on('data', (piece: Buffer) => {
      // Once it is over the pieces run dry: whoever answered decides how long to listen on.
      if (over || room.closed) return;
      try {
        const wait = sink.push(piece);
        if (wait === undefined) return;
        stream.pause();
        waiting = wait;
        wait.then(resume, fail);
      } catch (thrown) {
        fail(thrown);
      }
    });
    stream.on('end', () => {
      // node:http2 says `end` for an upload that was given up, too.
      if (stream.aborted === true) gone();
      // Pausing holds pieces back, but not the end.
      else if (waiting === undefined) finish();
      else waiting.then(finish, fail);
    });
    stream.on('close', () => {
      if (waiting === undefined || !stream.readableEnded) gone();
    });
    // A request of node:http2 tells its `close` once, and its own flag stays unset.
    if (stream.destroyed || stream.stream?.destroyed === true) gone();
    // Head and end arrived together, and the end is told only once.
    else if (stream.readableEnded) finish();
  });
}

/** Most bodies are smaller; for the others only bytes that arrive are worth more. */
const declaredRoomBytes = 1024 * 1024;
/** A body of 64 MiB moves three times, and nobody holds more than this often what was sent. */
const declaredGrowth = 4;

/** What the caller takes for a declared length before any of it has arrived. */
export function firstRoomBytes(declaredBytes: number): number {
  return Math.min(declaredBytes, declaredRoomBytes);
}

/** A body whose length was declared: takes what goes beyond `firstRoomBytes` as it arrives. */
export function sizedSink(bytes: number, room: Room): Sink<Buffer> {
  let whole: Buffer | undefined;
  let arrived = 0;
  let takenBytes = firstRoomBytes(bytes);

  function append(piece: Buffer): void {
    // Most bodies are small and arrive in one piece, which is then the body: no copy.
    if (whole === undefined && piece.length === bytes) {
      whole = piece;
      arrived = bytes;
      return;
    }
    if (whole === undefined || whole.length < takenBytes) {
      const grown = Buffer.allocUnsafeSlow(takenBytes);
      whole?.copy(grown, 0, 0, arrived);
      whole = grown;
    }
    arrived += piece.copy(whole, arrived);
  }

  return {
    push(piece) {
      const needed = arrived + piece.length;
      if (needed > takenBytes) {
        const grownBytes = Math.min(bytes, Math.max(needed, takenBytes * declaredGrowth));
        const wait = room.take(grownBytes - takenBytes);
        takenBytes = grownBytes;
        if (wait !== undefined) return wait.then(() => append(piece));
      }
      append(piece);
      return undefined;
    },
    finish() {
      if (arrived < bytes) throw cutOff();
      return whole ?? Buffer.alloc(0);
    },
  };
}

const growthBytesMin = 64 * 1024;

/** A body of unknown length: takes room as it grows, at most `bytesMax` long. */
export function growingSink(room: Room, bytesMax: number): Sink<Buffer> {
  let kept: Buffer = Buffer.alloc(0);
  let arrived = 0;

  function append(piece: Buffer): void {
    arrived += piece.copy(kept, arrived);
  }

  /** Both buffers exist while one is copied into the other, so room is taken for both. */
  function grow(needed: number, piece: Buffer): Promise<void> | undefined {
    const capacity = Math.min(bytesMax, Math.max(needed, kept.length * 2, growthBytesMin));
    function move(): void {
      const [old, grown] = [kept, Buffer.allocUnsafeSlow(capacity)];
      old.copy(grown, 0, 0, arrived);
      kept = grown;
      if (old.length > 0) room.giveBack(old.length);
      append(piece);
    }
    const wait = room.take(capacity);
    if (wait !== undefined) return wait.then(move);
    move();
    return undefined;
  }

  return {
    push(piece) {
      const needed = arrived + piece.length;
      if (needed > bytesMax) throw tooLarge(bytesMax);
      if (arrived > 0) {
        if (needed > kept.length) return grow(needed, piece);
        append(piece);
        return undefined;
      }
      const wait = room.take(piece.length);
      kept = piece;
      arrived = piece.length;
      return wait;
    },
    finish: () => kept.subarray(0, arrived),
  };
}
