/** Where a flat body of Your API names its agent, and what it names once it is forwarded. */
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import { createRouting, nameAgent } from '../../src/routing/routing.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const attribute = 'mibo.platform_id';
const routing = createRouting({
  attribute,
  header: 'x-mibo-platform-id',
  onScopeConflict: 'use_scope',
});
const tenant = {
  projectId: 'p',
  keyId: 'k',
  keyName: 'key',
  scope: 'project',
  agents: new Map([
    [support, 'Support bot'],
    [sales, 'Sales bot'],
  ]),
} as const;

function route(body: Record<string, unknown>, header?: string) {
  return routing.routeFlat({ tenant, header, body }).agentId;
}

describe('the target of a flat body', () => {
  test('the body is stronger than the header', () => {
    expect(route({ platformId: support }, sales)).toBe(support);
    expect(route({ metadata: { [attribute]: support } }, sales)).toBe(support);
  });

  test('null and an empty string count as absent', () => {
    expect(route({ platformId: null, metadata: { mibo: { platform_id: '' } } }, sales)).toBe(sales);
  });

  test('the same agent in another case is no contradiction', () => {
    const metadata = { mibo: { platform_id: support.toUpperCase() }, [attribute]: support };
    expect(route({ platformId: support, metadata })).toBe(support);
  });

  test('a contradiction is a 400 that names both paths', () => {
    const body = { platformId: support, metadata: { mibo: { platform_id: sales } } };
    expect(() => route(body)).toThrowError(GatewayError);
    try {
      route(body);
    } catch (error) {
      const { kind, details } = error as GatewayError;
      expect(kind).toBe('malformed');
      expect(details.map(({ path }) => path)).toEqual(['platformId', `metadata.${attribute}`]);
    }
  });

  test.each([[42], [true], [['x']], [{ id: support }]])('%o is not a UUID', (value) => {
    expect(() => route({ platformId: value })).toThrow('UUID');
  });

  test('metadata that is not an object is left alone', () => {
    expect(() => route({ metadata: 'text' })).toThrow('platformId');
    expect(() => route({ metadata: { mibo: 'text' } })).toThrow('platformId');
  });
});

describe('the forwarded body', () => {
  test('names the resolved agent in platformId and wherever it named one', () => {
    const body = {
      spans: [],
      metadata: { mibo: { platform_id: sales, keep: 1 }, [attribute]: sales, other: true },
    };
    expect(nameAgent(body, support, attribute)).toEqual({
      spans: [],
      metadata: { mibo: { platform_id: support, keep: 1 }, [attribute]: support, other: true },
      platformId: support,
    });
  });

  test('gains nothing but platformId, and the body that came in is not changed', () => {
    const body = { spans: [{ name: 'a' }], metadata: { user: 'u' } };
    expect(nameAgent(body, support, attribute)).toEqual({ ...body, platformId: support });
    expect(body).toEqual({ spans: [{ name: 'a' }], metadata: { user: 'u' } });
  });

  test('is left as it is where the next hop decides', () => {
    const body = { spans: [] };
    expect(nameAgent(body, '', attribute)).toBe(body);
  });
});
