/** A server that lets everybody in and then answers nothing, as a pooler without room does. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createWaiting } from '../harness/waiting.ts';

export type SilentPostgres = {
  readonly url: string;
  /** Resolves once so many queries have been asked, by all who are there and were. */
  asked(queries: number): Promise<void>;
  close(): void;
};

// AuthenticationOk and ReadyForQuery:
// https://www.postgresql.org/docs/current/protocol-message-formats.html
const welcome = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');

export async function startSilentPostgres(): Promise<SilentPostgres> {
  const waiting = createWaiting();
  const sockets = new Set<Socket>();
  let asked = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(welcome);
      socket.once('data', () => {
        asked += 1;
        waiting.look();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `postgres://ada@127.0.0.1:${port}/keys`,
    asked: (queries) => waiting.until(() => asked >= queries),
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
