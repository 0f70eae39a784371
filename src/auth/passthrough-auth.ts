/**
 * A sidecar's door: no store. The key goes on to the next hop, which checks it; here only what no
 * key can look like is refused, with the same hints.
 */
import type { Tenant } from '../core/tenant.ts';
import type { Auth, Authenticated } from './auth.ts';
import { createKeyReader } from './credentials.ts';

export type PassthroughAuthOptions = {
  /** Goes out with every delivery; '' requires the client's own key and forwards that. */
  readonly apiKey: string;
  /** The one agent to send to; '' leaves it to the next hop. */
  readonly platformId: string;
  readonly apiKeyHeader: string;
};

export function createPassthroughAuth(options: PassthroughAuthOptions): Auth {
  const agentId = options.platformId.toLowerCase();
  const known: Omit<Tenant, 'forwardKey'> = {
    projectId: '',
    keyId: 'passthrough',
    keyName: 'passthrough',
    scope: agentId === '' ? 'next_hop' : 'agents',
    agents: new Map(agentId === '' ? [] : [[agentId, '']]),
  };
  const own = accepted({ ...known, forwardKey: options.apiKey });
  const readKey = createKeyReader({ apiKeyHeader: options.apiKeyHeader, anyShape: true });
  return {
    authenticate: (credentials) =>
      options.apiKey === '' ? accepted({ ...known, forwardKey: readKey(credentials) }) : own,
    // The next hop keeps the last-used date.
    used: () => undefined,
    close: () => Promise.resolve(),
  };
}

/** Only the next hop can tell whether a key still holds. */
function accepted(tenant: Tenant): Authenticated {
  return { tenant, again: () => tenant };
}
