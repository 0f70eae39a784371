/**
 * The admin API: the registry of projects, agents and keys over HTTP, and what the gateway knows of
 * itself. A thin door: every promise (commit order, the wait until a revoke is effective) is kept
 * by the store's own functions, which the commands call too.
 *
 * Promise: nobody gets in without the token, or, where none is set, from anywhere but this machine;
 * a secret is shown once, in the answer that makes it; every answer is described by
 * `/admin/v1/openapi.json`. Does not keep anything itself.
 */
import type { Store } from '../auth/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Log, Rejections } from '../observability/observability.ts';
import { createApp } from './app.ts';
import { adminNeedsToken } from './guard.ts';
import { createAdminServer } from './server.ts';
import type { AdminStatus } from './status.ts';

export { adminNeedsToken } from './guard.ts';
export type { AdminStatus } from './status.ts';

export type Admin = {
  /** Opens the listener; resolves with the port in use. */
  start(): Promise<{ readonly adminPort: number }>;
  /** Lets what is under way end, for up to `graceMs`, and never for more than 5 s. */
  stop(graceMs: number): Promise<void>;
};

export type AdminOptions = {
  readonly endpoint: { readonly host: string; readonly port: number };
  /** Empty: none is asked for, and the endpoint has to be loopback. */
  readonly token: string;
  /** Undefined in passthrough mode, where the next hop manages keys. */
  readonly store: Store | undefined;
  readonly rejections: Rejections;
  readonly status: () => AdminStatus | Promise<AdminStatus>;
  readonly log: Log;
  readonly clock: Clock;
};

/** Throws where the endpoint is open to others and no token is set. */
export function createAdmin(options: AdminOptions): Admin {
  const { endpoint, token, log, clock } = options;
  if (adminNeedsToken(endpoint.host, token)) {
    throw new Error(`set admin.token, or listen on 127.0.0.1: ${endpoint.host} is open to others`);
  }
  return createAdminServer({ endpoint, app: createApp(options), log, clock });
}
