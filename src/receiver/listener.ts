/**
 * One port that speaks both protocols: the first three bytes of a connection tell HTTP/2's preface
 * (`PRI * HTTP/2.0`, RFC 9113 §3.4) from every HTTP/1.1 method.
 */
import type { Server as Http1Server } from 'node:http';
import type { Http2Server } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';

export type Listener = {
  /** Resolves with the port in use. */
  listen(): Promise<number>;
  /** Accepts no more; resolves when the last connection has ended. */
  close(): Promise<void>;
  /** Cuts every connection off. */
  destroy(): void;
};

export type ListenerOptions = {
  readonly at: { readonly host: string; readonly port: number };
  readonly servers: { readonly http1: Http1Server; readonly http2: Http2Server };
  /** A connection that has not said anything by then is closed. */
  readonly firstByteTimeoutMs: number;
  readonly clock: Clock;
  /** A connection could not be accepted (out of file descriptors). */
  readonly acceptFailed: (fault: Error) => void;
};

const prefaceStart = 'PRI';

export function createListener(options: ListenerOptions): Listener {
  const open = new Set<Socket>();
  /** Connections of which nothing has been read yet. */
  const silent = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    silent.add(socket);
    const cancel = options.clock.after(options.firstByteTimeoutMs, () => socket.destroy());
    socket.on('error', ignore);
    socket.once('close', forget);
    socket.on('end', hangUp);
    socket.on('data', decide);
    let start = '';
    const pieces: Buffer[] = [];

    function forget(): void {
      cancel();
      silent.delete(socket);
    }
    function hangUp(): void {
      socket.destroy();
    }
    function decide(piece: Buffer): void {
      pieces.push(piece);
      start += piece.toString('latin1', 0, prefaceStart.length);
      if (start.length < prefaceStart.length && prefaceStart.startsWith(start)) return;
      forget();
      socket.off('data', decide).off('close', forget).off('end', hangUp);
      // Put back unread: both kinds of server take up what waits in the socket.
      socket.pause();
      socket.unshift(pieces.length === 1 ? piece : Buffer.concat(pieces));
      const { http1, http2 } = options.servers;
      if (start.startsWith(prefaceStart)) {
        // Over HTTP/2 a client that hangs up is gone; only HTTP/1.1 knows half-closed ones.
        socket.allowHalfOpen = false;
        http2.emit('connection', socket);
      } else {
        http1.emit('connection', socket);
        socket.resume();
      }
    }
  });
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(options.at.port, options.at.host, () => {
          server.off('error', reject).on('error', options.acceptFailed);
          resolve((server.address() as AddressInfo).port);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of silent) socket.destroy();
      }),
    destroy() {
      for (const socket of open) socket.destroy();
    },
  };
}

/** Whoever serves the socket hears of its end by `close`. */
function ignore(): void {}
