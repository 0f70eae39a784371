/**
 * Health and metrics listeners: `/` and `/readyz` (ready), `/livez` (alive), `/metrics`.
 *
 * Ready means: every named check passes. The answer says which one does not.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

/** Returns undefined when it passes, else why not, in one sentence. */
export type ReadinessCheck = { readonly name: string; readonly failing: () => string | undefined };

export type Health = {
  /** Opens both listeners; resolves with the ports in use. */
  start(): Promise<{ readonly healthPort: number; readonly metricsPort: number }>;
  stop(): Promise<void>;
};

export type HealthOptions = {
  readonly health: { readonly host: string; readonly port: number };
  readonly metricsAt: { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  readonly checks: readonly ReadinessCheck[];
};

export function createHealth(options: HealthOptions): Health {
  const health = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/livez') answer(response, 200, { status: 'alive' });
    else if (path === '/' || path === '/readyz') answerReady(response, options.checks);
    else answer(response, 404, { status: 'not found', paths: ['/', '/readyz', '/livez'] });
  });
  const metrics = createServer(async (request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      answer(response, 404, { status: 'not found', paths: ['/metrics'] });
      return;
    }
    response.setHeader('content-type', options.metrics.contentType);
    response.end(await options.metrics.text());
  });
  return {
    async start() {
      return {
        healthPort: await listen(health, options.health),
        metricsPort: await listen(metrics, options.metricsAt),
      };
    },
    async stop() {
      await Promise.all([close(health), close(metrics)]);
    },
  };
}

function answerReady(response: ServerResponse, checks: readonly ReadinessCheck[]): void {
  const reasons = checks.flatMap((check) => {
    const reason = check.failing();
    return reason === undefined ? [] : [`${check.name}: ${reason}`];
  });
  if (reasons.length === 0) answer(response, 200, { status: 'ready' });
  else answer(response, 503, { status: 'not ready', reasons });
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function listen(server: Server, at: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, () => resolve((server.address() as AddressInfo).port));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
