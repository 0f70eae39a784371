/**
 * A sidecar's door: no store. The key goes on to the next hop, which checks it; here only what no
 * key can look like is refused, with the same hints.
 */
import { GatewayError } from '../core/errors.ts';
import type { Credentials } from '../core/incoming.ts';
import type { Tenant } from '../core/tenant.ts';
import type { Auth, Authenticated } from './auth.ts';
import { createKeyReader } from './credentials.ts';

export type PassthroughAuthOptions = {
  /** Goes out with every delivery; '' requires the client's own key and forwards that. */
  readonly apiKey: string;
  /** The one agent to send to; '' leaves it to the next hop. */
  readonly platformId: string;
  /** Whose key goes out where `apiKey` is set and the client brings one too. */
  readonly onClientKey: 'use_own' | 'use_client';
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
  const hasOwn = options.apiKey !== '';

  function authenticate(credentials: Credentials): Authenticated {
    if (hasOwn && options.onClientKey === 'use_own') return own;
    try {
      return accepted({ ...known, forwardKey: readKey(credentials) });
    } catch (thrown) {
      // A key with a mistake in it is told: whoever sends one means it.
      const isMissing = thrown instanceof GatewayError && thrown.kind === 'missing_api_key';
      if (hasOwn && isMissing) return own;
      throw thrown;
    }
  }

  return {
    authenticate,
    // The next hop keeps the last-used date.
    used: () => undefined,
    close: () => Promise.resolve(),
  };
}

/** Only the next hop can tell whether a key still holds. */
function accepted(tenant: Tenant): Authenticated {
  return { tenant, again: () => tenant };
}
