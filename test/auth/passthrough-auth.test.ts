import { expect, test } from 'vitest';
import { type Auth, type Authenticated, createPassthroughAuth } from '../../src/auth/auth.ts';
import type { Tenant } from '../../src/core/tenant.ts';

const agent = 'A1B2C3D4-0000-4000-8000-000000000001';
const key = 'mibo_0123456789abcdef';

type OnClientKey = 'use_own' | 'use_client';

function sidecar(apiKey: string, platformId: string, onClientKey: OnClientKey = 'use_own') {
  return createPassthroughAuth({ apiKey, platformId, onClientKey, apiKeyHeader: 'x-api-key' });
}

/** The tenant of a request, the same at the second check. */
function tenantFor(auth: Auth, apiKey: readonly string[]): Tenant {
  const { tenant, again } = auth.authenticate({ apiKey, authorization: [] }, '') as Authenticated;
  expect(again()).toBe(tenant);
  return tenant;
}

test('a sidecar with a key and an agent needs nothing from the program beside it', async () => {
  const auth = sidecar(key, agent);
  expect(tenantFor(auth, [])).toEqual({
    projectId: '',
    keyId: 'passthrough',
    keyName: 'passthrough',
    scope: 'agents',
    agents: new Map([[agent.toLowerCase(), '']]),
    forwardKey: key,
  });
  auth.used('passthrough');
  await auth.close(1_000);
});

test('without an agent the next hop decides', () => {
  const tenant = tenantFor(sidecar(key, ''), []);
  expect(tenant).toMatchObject({ scope: 'next_hop', agents: new Map() });
});

test("without a key the client's own is required and forwarded, whatever its shape", () => {
  const auth = sidecar('', '');
  for (const sent of [key, 'a-key-of-the-next-hop']) {
    expect(tenantFor(auth, [sent])).toMatchObject({ forwardKey: sent });
  }
  expect(() => tenantFor(auth, [])).toThrow(/MISSING_API_KEY/);
  expect(() => tenantFor(auth, [`"${key}"`])).toThrow(/quotes/);
});

test('a sidecar with a key of its own sends that one, whatever key a client brings', () => {
  expect(tenantFor(sidecar(key, ''), ['another-key'])).toMatchObject({ forwardKey: key });
});

test("with use_client the client's own key wins, and its mistakes are told", () => {
  const auth = sidecar(key, '', 'use_client');
  expect(tenantFor(auth, ['another-key'])).toMatchObject({ forwardKey: 'another-key' });
  expect(() => tenantFor(auth, ['"another-key"'])).toThrow(/quotes/);
  for (const none of [[], [''], [' ']]) {
    expect(tenantFor(auth, none)).toMatchObject({ forwardKey: key });
  }
});
