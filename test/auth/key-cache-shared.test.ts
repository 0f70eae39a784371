/** Nothing rests on the shared cache, whatever it holds: late fills, old dumps, nothing. */
import { describe, expect, test } from 'vitest';
import { createFakeSharedCache, type FakeSharedCache } from './fake-shared-cache.ts';
import { asked, atOnce, type OpenKeyCache, openKeyCache } from './open-key-cache.ts';

type WithShared = OpenKeyCache & { readonly shared: FakeSharedCache };

async function started(): Promise<WithShared> {
  const shared = createFakeSharedCache();
  const opened = openKeyCache({ shared });
  opened.registry.addAgent('p1', 'a');
  opened.registry.putKey('k');
  await opened.cache.start();
  return { ...opened, shared };
}

describe('the shared cache', () => {
  test('saves other gateways the read of the store', async () => {
    const first = await started();
    await asked(first.cache, 'k');
    await first.pass(300);
    const other = openKeyCache({ shared: first.shared });
    other.registry.addAgent('p1', 'a');
    other.registry.putKey('k');
    await other.cache.start();
    expect(await asked(other.cache, 'k')).toMatchObject({ tenant: { keyId: 'id-k' } });
    expect(other.source.begun.get('key')).toBeUndefined();
    expect(other.cache.counters()).toMatchObject({ sharedHits: 1, storeReads: 0 });
    expect(atOnce(other.cache, 'k')).toBeDefined();
  });

  test('with a record of a late fill or an old dump grants nothing', async () => {
    const { cache, registry, shared, source, pass } = await started();
    await asked(cache, 'k');
    const record = shared.keys.get('k');
    registry.revoke('k');
    await pass(300);
    if (record !== undefined) shared.keys.set('k', record);
    expect(await asked(cache, 'k')).toBeUndefined();
    expect(source.begun.get('key')).toBe(2);
  });

  test('with agents of an old dump does not bring back one that was removed', async () => {
    const { cache, registry, shared, pass } = await started();
    registry.addAgent('p1', 'b');
    await asked(cache, 'k');
    const [key, agents] = [registry.key('k'), shared.agents.get('p1')];
    registry.removeAgent('p1', 'a');
    await pass(300);
    if (agents !== undefined) shared.agents.set('p1', agents);
    if (key.value !== undefined) shared.keys.set('k', { version: key.version, value: key.value });
    const grant = await asked(cache, 'k');
    expect([...(grant?.tenant.agents.keys() ?? [])]).toEqual(['b']);
  });

  test('with a record from before the changes that this gateway knows grants nothing', async () => {
    const shared = createFakeSharedCache();
    const { cache, registry, source, clock } = openKeyCache({ shared });
    registry.putKey('k');
    const { version, value } = registry.key('k');
    if (value !== undefined) shared.keys.set('k', { version, value });
    shared.agents.set('p1', { version, value: new Map() });
    registry.revoke('k');
    registry.putKey('other');
    // Long ago: the feed does not begin before these.
    clock.advance(3_600_000);
    await cache.start();
    expect(await asked(cache, 'k')).toBeUndefined();
    expect(source.begun.get('key')).toBe(1);
  });

  test('with a record that is ahead of the feed is not believed', async () => {
    const { cache, registry, shared, source } = await started();
    const { value } = registry.key('k');
    if (value !== undefined) shared.keys.set('k', { version: registry.version + 1, value });
    shared.agents.set('p1', registry.agents('p1'));
    await asked(cache, 'k');
    expect(source.begun.get('key')).toBe(1);
  });

  test('is not asked while the fence is shut', async () => {
    const { cache, registry, shared, source, clock } = await started();
    await asked(cache, 'k');
    registry.revoke('k');
    clock.stall(1_000);
    expect(shared.keys.has('k')).toBe(true);
    expect(await asked(cache, 'k')).toBeUndefined();
    expect(source.begun.get('key')).toBe(2);
  });

  test('is never filled with what does not exist', async () => {
    const { cache, shared } = await started();
    for (let index = 0; index < 100; index += 1) await asked(cache, `garbage${index}`);
    expect(shared.keys.size).toBe(0);
  });

  test('that is down costs nothing but reads of the store', async () => {
    const { cache, shared } = await started();
    shared.isDown = true;
    expect(await asked(cache, 'k')).toBeDefined();
    expect(atOnce(cache, 'k')).toBeDefined();
  });
});
