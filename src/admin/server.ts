/** The listener of the admin API: HTTP/1.1, with a bound on all that a client can take up. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import type { Admin } from './admin.ts';
import { ProblemError, problemOf, renderProblem } from './problem.ts';
import type { App } from './routes.ts';

const headersTimeoutMs = 10_000;
/** For the whole request; an answer may take longer, as a revoke waits for the leases. */
const requestTimeoutMs = 30_000;
const connectionsMax = 100;
const stopGraceMs = 5_000;

export type AdminServerOptions = {
  readonly endpoint: { readonly host: string; readonly port: number };
  readonly app: App;
  readonly log: Log;
  readonly clock: Clock;
};

export function createAdminServer({ endpoint, app, log, clock }: AdminServerOptions): Admin {
  const listener = getRequestListener(app.fetch, {
    // The rest of the program has globals of its own to rely on.
    overrideGlobalObjects: false,
    errorHandler: (thrown) => renderProblem(problemOf(unreadable(thrown), log)),
  });
  const timeouts = { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs };
  const unanswered = new Set<ServerResponse>();
  const server = createServer(timeouts, (request, response) => {
    unanswered.add(response);
    response.on('close', () => unanswered.delete(response));
    void listener(request, response);
  });
  server.maxConnections = connectionsMax;
  return {
    start: () => listen(server, endpoint),
    async stop() {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Else these would be kept open for a next request.
      for (const response of unanswered) {
        if (!response.headersSent) response.setHeader('connection', 'close');
      }
      const cancel = clock.after(stopGraceMs, () => server.closeAllConnections());
      await closed;
      cancel();
    },
  };
}

/** A Host or a path that makes no URL: known only by the name of the adapter's error. */
function unreadable(thrown: unknown): unknown {
  const isRequest = thrown instanceof Error && thrown.name === 'RequestError';
  return isRequest ? new ProblemError(400, 'correct the path or the Host of the request') : thrown;
}

function listen(
  server: Server,
  { host, port }: AdminServerOptions['endpoint'],
): Promise<{ readonly adminPort: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      resolve({ adminPort: (server.address() as AddressInfo).port });
    });
  });
}
