/**
 * The connections of the admin API: so many at most, and none can be kept at the cost of others.
 *
 * A connection is busy while a request on it has no answer yet; strangers are answered at once, so
 * theirs hardly ever are. When all places are taken, the one goes that was not busy for longest:
 * whoever holds connections without sending anything, or without reading, cannot keep others out.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export type Connections = {
  /** A new one; it may cost another its place, or find none. */
  add(socket: Socket): void;
  /** A request was read, whose answer this will be. */
  asked(response: ServerResponse): void;
  /** Ends those that are not busy at once, and each other one with its answer. */
  end(): void;
};

/** Of what was asked on a connection: answers that are not sent to their end. */
type Answers = Set<ServerResponse>;

export function createConnections(connectionsMax: number): Connections {
  /** The one that was not busy for longest comes first. */
  const open = new Map<Socket, Answers>();
  let ending = false;

  function makeRoom(): void {
    for (const [socket, answers] of open) {
      if (isBusy(answers)) continue;
      open.delete(socket);
      socket.destroy();
      return;
    }
  }

  return {
    add(socket) {
      open.set(socket, new Set());
      socket.once('close', () => open.delete(socket));
      if (open.size > connectionsMax) makeRoom();
    },
    asked(response) {
      const { socket } = response;
      const answers = socket === null ? undefined : open.get(socket);
      if (socket === null || answers === undefined) return;
      if (ending) endWith(response);
      answers.add(response);
      response.once('close', () => {
        answers.delete(response);
        if (open.delete(socket)) open.set(socket, answers);
      });
    },
    end() {
      ending = true;
      for (const [socket, answers] of open) {
        if (!isBusy(answers)) socket.destroySoon();
        for (const response of answers) endWith(response);
      }
    },
  };
}

function isBusy(answers: Answers): boolean {
  for (const { headersSent } of answers) if (!headersSent) return true;
  return false;
}

/** Node ends the connection once it is sent. */
function endWith(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}
