/** The listener of the admin API: HTTP/1.1, with a bound on all that a client can take up. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../observability/observability.ts';
import type { Admin } from './admin.ts';
import { createConnections } from './connections.ts';
import { ProblemError, problemOf, renderProblem } from './problem.ts';
import type { App } from './routes.ts';

const timeouts = {
  headersTimeout: 3_000,
  /** For the whole request; an answer may take longer, as a revoke waits for the leases. */
  requestTimeout: 30_000,
  /** Both are looked at only so often. */
  connectionsCheckingInterval: 1_000,
};
const connectionsMax = 100;
const stopMsMax = 5_000;

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
  const connections = createConnections(connectionsMax);
  const server = createServer(timeouts, (request, response) => {
    connections.asked(response);
    void listener(request, response);
  });
  server.on('connection', connections.add);
  return {
    start: () => listen(server, endpoint),
    async stop(graceMs) {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      connections.end();
      const cutMs = Math.min(graceMs, stopMsMax);
      const cancel = clock.after(cutMs, () => server.closeAllConnections());
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
