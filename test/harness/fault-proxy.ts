/**
 * A network that fails as a test says: a TCP proxy before a real server, for any protocol.
 *
 * What arrives waits in order, in one line per direction and connection, so that nothing is lost
 * or overtaken however faults begin and end; ends and resets stand in the same line.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { sparePort } from './spare-port.ts';

export type FaultProxy = {
  readonly port: number;
  /** Resets every connection; new ones are refused until `heal`. */
  cut(): void;
  /** Holds every byte in both directions until `heal`; new connections are accepted and held. */
  hang(): void;
  /** No fault any more. What was held goes on its way. Resolves once connections are accepted. */
  heal(): Promise<void>;
  /** Every piece arrives this much later, in each direction; 0 ends it. */
  delay(ms: number): void;
  /** Connections that were accepted since the start, and those that stand now. */
  readonly accepted: number;
  readonly open: number;
  close(): Promise<void>;
};

export type ProxyTarget = { readonly host: string; readonly port: number };

type Piece = { readonly dueAtMs: number; readonly send: () => void };
type Line = { readonly pieces: Piece[]; timer: NodeJS.Timeout | undefined };
type Pair = { readonly sockets: readonly [Socket, Socket]; readonly lines: readonly Line[] };

export async function startFaultProxy(target: ProxyTarget): Promise<FaultProxy> {
  const pairs = new Set<Pair>();
  let hung = false;
  let delayMs = 0;
  let accepted = 0;

  function move(line: Line): void {
    clearTimeout(line.timer);
    line.timer = undefined;
    while (!hung) {
      const [first] = line.pieces;
      if (first === undefined) return;
      const waitMs = first.dueAtMs - performance.now();
      if (waitMs > 0) {
        line.timer = setTimeout(() => move(line), waitMs);
        return;
      }
      line.pieces.shift();
      first.send();
    }
  }

  function carry(from: Socket, to: Socket): Line {
    const line: Line = { pieces: [], timer: undefined };
    const queue = (send: () => void): void => {
      line.pieces.push({ dueAtMs: performance.now() + delayMs, send });
      if (line.timer === undefined) move(line);
    };
    from.on('data', (bytes) => queue(() => to.write(bytes)));
    from.on('end', () => queue(() => to.end()));
    from.on('error', () => queue(() => to.resetAndDestroy()));
    return line;
  }

  function accept(client: Socket): void {
    accepted += 1;
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const pair: Pair = {
      sockets: [client, server],
      lines: [carry(client, server), carry(server, client)],
    };
    pairs.add(pair);
    const left = (): void => {
      if (client.destroyed && server.destroyed) pairs.delete(pair);
    };
    client.on('close', left);
    server.on('close', left);
  }

  function reset(): void {
    for (const { sockets, lines } of pairs) {
      for (const line of lines) {
        clearTimeout(line.timer);
        line.pieces.length = 0;
      }
      for (const socket of sockets) socket.resetAndDestroy();
    }
    pairs.clear();
  }

  const open = (): Server => createServer({ allowHalfOpen: true, noDelay: true }, accept);
  let server = open();
  const port = await listenOnSparePort(server);

  return {
    port,
    cut() {
      server.close();
      reset();
    },
    hang() {
      hung = true;
    },
    async heal() {
      hung = false;
      if (!server.listening) {
        server = open();
        await listen(server, port);
      }
      for (const { lines } of pairs) lines.forEach(move);
    },
    delay(ms) {
      delayMs = ms;
    },
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    async close() {
      const closed = server.listening ? once(server, 'close') : undefined;
      server.close();
      reset();
      await closed;
    },
  };
}

async function listenOnSparePort(server: Server): Promise<number> {
  for (;;) {
    try {
      await listen(server, sparePort());
      return (server.address() as AddressInfo).port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}
