import { expect, test } from 'vitest';
import { createPassthroughAuth } from '../../src/auth/auth.ts';

const agent = 'A1B2C3D4-0000-4000-8000-000000000001';
const key = 'mibo_0123456789abcdef';

function sidecar(apiKey: string, platformId: string) {
  return createPassthroughAuth({ apiKey, platformId, apiKeyHeader: 'x-api-key' });
}

test('a sidecar with a key and an agent needs nothing from the program beside it', async () => {
  const auth = sidecar(key, agent);
  expect(auth.authenticate({ apiKey: [], authorization: [] })).toEqual({
    projectId: '',
    keyId: 'passthrough',
    keyName: 'passthrough',
    scope: 'agents',
    agents: new Map([[agent.toLowerCase(), '']]),
    forwardKey: key,
  });
  auth.used('passthrough');
  await auth.close();
});

test('without an agent the next hop decides', () => {
  const tenant = sidecar(key, '').authenticate({ apiKey: [], authorization: [] });
  expect(tenant).toMatchObject({ scope: 'next_hop', agents: new Map() });
});

test("without a key the client's own is required and forwarded, whatever its shape", () => {
  const auth = sidecar('', '');
  for (const sent of [key, 'a-key-of-the-next-hop']) {
    expect(auth.authenticate({ apiKey: [sent], authorization: [] })).toMatchObject({
      forwardKey: sent,
    });
  }
  expect(() => auth.authenticate({ apiKey: [], authorization: [] })).toThrow(/MISSING_API_KEY/);
  expect(() => auth.authenticate({ apiKey: [`"${key}"`], authorization: [] })).toThrow(/quotes/);
});
