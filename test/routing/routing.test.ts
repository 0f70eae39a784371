/**
 * The routing rule's whole truth table, as a pure function. What is expected is computed by the
 * short table below, written from the rule's text and not from the code.
 */
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../src/core/errors.ts';
import type { NamedTarget } from '../../src/core/target.ts';
import type { Tenant } from '../../src/core/tenant.ts';
import { createRouting } from '../../src/routing/routing.ts';

const support = '7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c';
const sales = '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91';
const billing = '11111111-2222-4333-8444-555555555555';
const foreign = 'f0000000-0000-4000-8000-00000000000f';
const unknown = '99999999-9999-4999-8999-999999999999';

function tenant(scope: Tenant['scope'], ids: readonly string[]): Tenant {
  return {
    projectId: 'p',
    keyId: 'k',
    keyName: 'Production Traces',
    scope,
    agents: new Map(ids.map((id) => [id, `Agent ${id.slice(0, 4)}`])),
  };
}

const keys = {
  unrestricted: tenant('project', [support, sales, billing]),
  'one agent': tenant('agents', [support]),
  'two agents': tenant('agents', [support, sales]),
  none: tenant('agents', []),
};
const targets = {
  'no target': undefined,
  'own agent': support,
  'other agent of the project': billing,
  'agent of another project': foreign,
  'unknown agent': unknown,
  malformed: 'support-bot',
  'upper case': support.toUpperCase(),
};
type Key = keyof typeof keys;
type Target = keyof typeof targets;

const ok = support;
const absent = 'platform_not_found';
const denied = 'platform_not_allowed';
const bad = 'malformed';

/** The rule, row by row; `scope` is the agent of the scope plus a warning, or 403 with `reject`. */
const expected: Readonly<Record<Key, Readonly<Record<Target, string>>>> = {
  unrestricted: {
    'no target': absent,
    'own agent': ok,
    'other agent of the project': billing,
    'agent of another project': denied,
    'unknown agent': denied,
    malformed: bad,
    'upper case': ok,
  },
  'one agent': {
    'no target': ok,
    'own agent': ok,
    'other agent of the project': 'scope',
    'agent of another project': 'scope',
    'unknown agent': 'scope',
    malformed: bad,
    'upper case': ok,
  },
  'two agents': {
    'no target': absent,
    'own agent': ok,
    'other agent of the project': denied,
    'agent of another project': denied,
    'unknown agent': denied,
    malformed: bad,
    'upper case': ok,
  },
  none: {
    'no target': absent,
    'own agent': denied,
    'other agent of the project': denied,
    'agent of another project': denied,
    'unknown agent': denied,
    malformed: bad,
    'upper case': denied,
  },
};

const routings = {
  use_scope: routing('use_scope'),
  reject: routing('reject'),
};

function routing(onScopeConflict: 'use_scope' | 'reject') {
  return createRouting({
    attribute: 'mibo.platform_id',
    header: 'x-mibo-platform-id',
    onScopeConflict,
  });
}

type Answer = { readonly agentId?: string; readonly kind?: string; readonly warning: string };

/** The four places that can name a target, each asked the same question. */
const doors: Readonly<
  Record<string, (mode: 'use_scope' | 'reject', key: Tenant, id: string | undefined) => Answer>
> = {
  'OTLP attribute': (mode, key, id) => {
    const target: NamedTarget =
      id === undefined ? { kind: 'absent' } : { kind: 'named', value: id };
    return exported(mode, key, { target, header: undefined });
  },
  'OTLP header': (mode, key, id) => exported(mode, key, { target: { kind: 'absent' }, header: id }),
  'Your API platformId': (mode, key, id) => flat(mode, key, { body: { platformId: id } }),
  'Your API metadata, nested': (mode, key, id) =>
    flat(mode, key, { body: { metadata: { mibo: { platform_id: id } } } }),
  'Your API metadata, dotted': (mode, key, id) =>
    flat(mode, key, { body: { metadata: { 'mibo.platform_id': id } } }),
  'Your API header': (mode, key, id) => flat(mode, key, { body: {}, header: id }),
};

function exported(
  mode: 'use_scope' | 'reject',
  key: Tenant,
  { target, header }: { target: NamedTarget; header: string | undefined },
): Answer {
  return answerOf(() => {
    const routed = routings[mode].routeExport({
      tenant: key,
      header,
      resources: [{ items: 1, target }],
    });
    const [agentId] = routed.agentOf;
    return { ...(agentId === undefined ? {} : { agentId }), warning: routed.message };
  });
}

function flat(
  mode: 'use_scope' | 'reject',
  key: Tenant,
  { body, header }: { body: Record<string, unknown>; header?: string | undefined },
): Answer {
  return answerOf(() => {
    const { agentId, warning } = routings[mode].routeFlat({ tenant: key, header, body });
    return { agentId, warning: warning ?? '' };
  });
}

function answerOf(ask: () => Answer): Answer {
  try {
    return ask();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { kind: error.kind, warning: '' };
  }
}

describe.each(Object.keys(doors))('named by %s', (door) => {
  describe.each(Object.keys(keys) as Key[])('a key for %s', (key) => {
    test.each(Object.keys(targets) as Target[])('%s', (target) => {
      for (const mode of ['use_scope', 'reject'] as const) {
        const answer = doors[door]?.(mode, keys[key], targets[target]);
        const want = expected[key][target];
        if (want === 'scope' && mode === 'use_scope') {
          expect(answer?.agentId).toBe(support);
          expect(answer?.warning).toContain('restricted');
        } else if (want === 'scope') {
          expect(answer).toEqual({ kind: denied, warning: '' });
        } else if (want.includes('-')) {
          expect(answer).toEqual({ agentId: want, warning: '' });
        } else {
          expect(answer).toEqual({ kind: want, warning: '' });
        }
      }
    });
  });
});

const none: NamedTarget = { kind: 'absent' };
const named = (value: string): NamedTarget => ({ kind: 'named', value });

function route(key: Tenant, list: readonly NamedTarget[], items = 2) {
  return routings.use_scope.routeExport({
    tenant: key,
    header: undefined,
    resources: list.map((target) => ({ items, target })),
  });
}

describe('several resources in one request', () => {
  test('some resolve and some do not: the good ones go, the others are counted with a fix', () => {
    const routed = route(keys.unrestricted, [named(support), none, named(sales), named(foreign)]);
    expect(routed.agentOf).toEqual([support, undefined, sales, undefined]);
    expect(routed.rejectedItems).toBe(4);
    expect(routed.message).toContain('OTEL_RESOURCE_ATTRIBUTES=mibo.platform_id=');
    expect(routed.message).toMatch(/ \[PLATFORM_NOT_FOUND\]$/);
  });

  test('none resolves and each is out of reach: 403', () => {
    expect(() => route(keys['two agents'], [named(foreign), named(billing)])).toThrowError(
      expect.objectContaining({ kind: 'platform_not_allowed' }),
    );
  });

  test('none resolves and one has no target: 400', () => {
    expect(() => route(keys.unrestricted, [named(foreign), none])).toThrowError(
      expect.objectContaining({ kind: 'platform_not_found' }),
    );
  });

  test('a resource without spans is ignored, whatever it names', () => {
    const routed = routings.use_scope.routeExport({
      tenant: keys.unrestricted,
      header: undefined,
      resources: [
        { items: 0, target: named('support-bot') },
        { items: 1, target: named(support) },
      ],
    });
    expect(routed).toMatchObject({ agentOf: [undefined, support], rejectedItems: 0, message: '' });
  });

  test('a request without resources is accepted', () => {
    expect(route(keys.none, [])).toMatchObject({ agentOf: [], rejectedItems: 0, message: '' });
  });

  test('the resource attribute is stronger than the header', () => {
    const routed = routings.use_scope.routeExport({
      tenant: keys.unrestricted,
      header: sales,
      resources: [
        { items: 1, target: named(support) },
        { items: 1, target: none },
      ],
    });
    expect(routed.agentOf).toEqual([support, sales]);
  });

  test('more than 1,000 different agents in one request are refused as a whole', () => {
    const id = (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
    const many = Array.from({ length: 1_001 }, (_, n) => named(id(n)));
    expect(() => route(keys.unrestricted, many)).toThrow('1000 agents');
    const odd = many.map((_, n): NamedTarget => ({ kind: 'unusable', found: `the integer ${n}` }));
    expect(() => route(keys.unrestricted, odd)).toThrow('1000 agents');
    expect(() => route(tenant('project', [id(0)]), many.slice(0, 1_000))).not.toThrow();
  });
});

describe('what is not a UUID is a 400 that says what stands there', () => {
  test.each([
    [named(`"${support}"`), `\\"${support}\\"`],
    [named(` ${support}`), `" ${support}"`],
    [named(`urn:uuid:${support}`), 'urn:uuid:'],
    [named(`{${support}}`), `{${support}}`],
    [{ kind: 'unusable', found: 'the integer 42' } as NamedTarget, 'the integer 42'],
  ])('%o', (target, shown) => {
    expect(() => route(keys['one agent'], [target])).toThrow(shown);
  });
});

describe('hints', () => {
  test.each([
    'mibo_abcdefghijklmnopqrstuvwxyz012345ABCDEF',
    'MIBO_abcdefghijklmnopqrstuvwxyz012345',
    'Mibo%5fabcdefghijklmnopqrstuvwxyz012345',
    'mibo%5F0123%2Dabcdef%5Fabcdef',
  ])('do not repeat a key that stands where the agent belongs: %s', (key) => {
    const hint = hintOf(() => route(keys.unrestricted, [named(key)]));
    expect(hint).toContain('mibo_...');
    expect(hint).not.toContain('abcdef');
  });

  test('name at most five agents, only those that the key may use', () => {
    const hint = hintOf(() => route(keys['two agents'], [none]));
    expect(hint).toContain(`${support} (Agent 7b0f)`);
    expect(hint).toContain(sales);
    expect(hint).not.toContain(billing);
    const many = tenant(
      'project',
      Array.from({ length: 9 }, (_, n) => support.replace('7', `${n}`)),
    );
    const listed = hintOf(() => route(many, [none])).match(/\(Agent/g) ?? [];
    expect(listed).toHaveLength(5);
  });

  test('the same words for an agent of another project and for one that does not exist', () => {
    const other = hintOf(() => route(keys.unrestricted, [named(foreign)]));
    expect(hintOf(() => route(keys.unrestricted, [named(unknown)]))).toBe(other);
    expect(other).toContain('restricted');
  });

  test('the fix fits into the 120 characters that some exporters show', () => {
    const hint = hintOf(() => route(keys.unrestricted, [none]));
    expect(hint.slice(0, 120)).toContain('OTEL_RESOURCE_ATTRIBUTES=mibo.platform_id=<agent uuid>');
    expect(hint.slice(0, 120)).toContain('key scoped to one agent');
  });
});

function hintOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error.message;
  }
  throw new Error('nothing was refused');
}

test('in passthrough without a platform id the next hop decides, by a valid UUID', () => {
  const next = tenant('next_hop', []);
  expect(route(next, [none]).agentOf).toEqual(['']);
  expect(route(next, [named(foreign.toUpperCase())]).agentOf).toEqual([foreign]);
  expect(() => route(next, [named('support-bot')])).toThrow('UUID');
});
