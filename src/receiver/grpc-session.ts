/** The life of one HTTP/2 connection: flow control, keepalive, its end by age; of one stream. */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../core/clock.ts';
import type { KeepaliveOptions } from './receiver.ts';

/**
 * What a client may send on one stream before anyone reads it. The default of 64 KiB costs a
 * 256 KiB message three round trips; more would be more memory for calls that are not admitted.
 */
export const streamWindowBytes = 512 * 1024;
/** Bytes of a connection are acknowledged on arrival, so this bounds its speed, not its memory. */
const connectionWindowBytes = 8 * 1024 * 1024;
const ageJitter = 0.1;

export type SupervisedBy = {
  readonly grpc: { readonly keepalive: KeepaliveOptions };
  readonly clock: Clock;
};

export function superviseSession(session: ServerHttp2Session, options: SupervisedBy): void {
  session.setLocalWindowSize(connectionWindowBytes);
  session.on('error', ignore);
  const cancels = [endByAge(session, options), keepAlive(session, options)];
  session.once('close', () => {
    for (const cancel of cancels) cancel();
  });
}

/** GOAWAY names the last call that is served; clients send later ones again, elsewhere. */
function endByAge(session: ServerHttp2Session, { grpc, clock }: SupervisedBy): () => void {
  const { connectionAgeMaxMs, connectionAgeGraceMs } = grpc.keepalive;
  const jitter = 1 + ageJitter * (2 * Math.random() - 1);
  let cancel = clock.after(connectionAgeMaxMs * jitter, () => {
    session.close();
    cancel = clock.after(connectionAgeGraceMs, () => session.destroy());
  });
  return () => cancel();
}

/** Pings a connection on which nothing was asked for a while; ends it if no answer comes. */
function keepAlive(session: ServerHttp2Session, { grpc, clock }: SupervisedBy): () => void {
  const { timeMs, timeoutMs } = grpc.keepalive;
  let busy = false;
  session.on('stream', () => {
    busy = true;
  });
  let cancel = clock.after(timeMs, check);

  function check(): void {
    if (session.destroyed) return;
    if (busy) {
      busy = false;
      cancel = clock.after(timeMs, check);
      return;
    }
    cancel = clock.after(timeoutMs, () => session.destroy());
    session.ping((fault) => {
      cancel();
      if (fault === null && !session.destroyed) cancel = clock.after(timeMs, check);
    });
  }
  return () => cancel();
}

/**
 * Tells a client whose call is answered to stop sending, without a fault. Not at once: the reset
 * of a stream overtakes headers that are queued in the same turn, and the answer would be lost.
 */
export function endUnread(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  setImmediate(() => {
    if (!stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

/** The session's `close` follows, and its streams say what it meant for them. */
function ignore(): void {}
