/** What users rely on: keys in memory are as right as the lease says, and a fault is no refusal. */
import { describe, expect, test } from 'vitest';
import {
  asked,
  atOnce,
  type OpenKeyCache,
  openKeyCache,
  refusal,
  settled,
} from './open-key-cache.ts';

/** A started cache with agents a and b in project p1, and the key `k` in memory. */
async function withKey(options: Parameters<typeof openKeyCache>[0] = {}): Promise<OpenKeyCache> {
  const opened = openKeyCache(options);
  opened.registry.addAgent('p1', 'a');
  opened.registry.addAgent('p1', 'b');
  opened.registry.putKey('k');
  await opened.cache.start();
  await asked(opened.cache, 'k');
  return opened;
}

describe('a key that is in memory', () => {
  test('is answered at once, with one tenant and one map for the keys of a project', async () => {
    const { cache, registry } = await withKey();
    registry.putKey('other');
    const other = await asked(cache, 'other');
    const grant = atOnce(cache, 'k');
    expect(grant?.tenant).toEqual({
      projectId: 'p1',
      keyId: 'id-k',
      keyName: 'k',
      scope: 'project',
      agents: new Map([
        ['a', 'a'],
        ['b', 'b'],
      ]),
    });
    expect(atOnce(cache, 'k')?.tenant).toBe(grant?.tenant);
    expect(other?.tenant.agents).toBe(grant?.tenant.agents);
    expect(cache.state()).toMatchObject({ fence: 'open', keys: 2, projects: 1 });
  });

  test('reaches the agents of its scope that are in its project, and no others', async () => {
    const { cache, registry } = await withKey();
    registry.addAgent('p2', 'foreign');
    registry.putKey('scoped', { scope: 'agents', agents: ['b', 'foreign'] });
    const grant = await asked(cache, 'scoped');
    expect(grant?.tenant.scope).toBe('agents');
    expect([...(grant?.tenant.agents.keys() ?? [])]).toEqual(['b']);
  });

  test('is refused from the first poll after the revoke on', async () => {
    const { cache, registry, pass } = await withKey();
    registry.revoke('k');
    expect(atOnce(cache, 'k')).toBeDefined();
    await pass(300);
    expect(await asked(cache, 'k')).toBeUndefined();
  });

  test('loses an agent that was removed, and gains one that was added', async () => {
    const { cache, registry, pass } = await withKey();
    registry.removeAgent('p1', 'a');
    registry.addAgent('p1', 'c');
    await pass(300);
    const grant = await asked(cache, 'k');
    expect([...(grant?.tenant.agents.keys() ?? [])]).toEqual(['b', 'c']);
  });

  test('has the scope that was last given to it', async () => {
    const { cache, registry, pass } = await withKey();
    registry.putKey('k', { scope: 'agents', agents: ['a'] });
    await pass(300);
    expect([...((await asked(cache, 'k'))?.tenant.agents.keys() ?? [])]).toEqual(['a']);
  });

  test('is read again after a fixed time, however often it is used', async () => {
    const { cache, source, pass } = await withKey({ ttlMs: 60_000 });
    for (let ms = 0; ms < 59_700; ms += 300) {
      await pass(300);
      expect(atOnce(cache, 'k')).toBeDefined();
    }
    await pass(300);
    await asked(cache, 'k');
    expect(source.begun.get('key')).toBe(2);
    expect(atOnce(cache, 'k')).toBeDefined();
  });

  test('stays in memory when the agents of its project are read anew, the same', async () => {
    const { cache, registry, source, pass } = await withKey({ ttlMs: 60_000 });
    for (let ms = 0; ms < 30_000; ms += 300) await pass(300);
    registry.putKey('late');
    await asked(cache, 'late');
    for (let ms = 0; ms < 30_000; ms += 300) await pass(300);
    await asked(cache, 'k');
    expect(source.begun.get('agents')).toBe(2);
    // And for no longer than its own time.
    for (let ms = 0; ms < 29_700; ms += 300) {
      expect(atOnce(cache, 'late')).toBeDefined();
      await pass(300);
    }
    await pass(300);
    await asked(cache, 'late');
    expect(source.begun.get('agents')).toBe(2);
  });

  test('keeps the time at which it expires, for the caller to check', async () => {
    const { cache, registry } = await withKey();
    registry.putKey('short', { expiresAtMs: 5 });
    expect((await asked(cache, 'short'))?.expiresAtMs).toBe(5);
  });
});

describe('room', () => {
  test('is bounded, and what is used stays', async () => {
    const { cache, registry } = await withKey({ keysMax: 10 });
    for (let index = 0; index < 50; index += 1) {
      registry.putKey(`n${index}`);
      expect(atOnce(cache, 'k')).toBeDefined();
      await asked(cache, `n${index}`);
    }
    expect(cache.state()).toMatchObject({ keys: 10, projects: 1 });
    expect(atOnce(cache, 'k')).toBeDefined();
  });

  test('is found even where every key was used', async () => {
    const { cache, registry } = await withKey({ keysMax: 40 });
    for (let index = 0; index < 100; index += 1) {
      registry.putKey(`n${index}`, { projectId: `q${index}` });
      await asked(cache, `n${index}`);
      expect(atOnce(cache, `n${index}`)).toBeDefined();
    }
    expect(cache.state().keys).toBe(40);
    expect(cache.state().projects).toBeLessThanOrEqual(40);
  });

  test('of keys is never taken by unknown ones', async () => {
    const { cache, source } = await withKey({ keysMax: 2 });
    for (let index = 0; index < 12_000; index += 1) await asked(cache, `garbage${index}`);
    expect(cache.state()).toMatchObject({ keys: 1, unknownKeys: 10_000 });
    expect(atOnce(cache, 'k')).toBeDefined();
    expect(source.begun.get('key')).toBe(12_001);
  });
});

describe('an unknown key', () => {
  test('is remembered for a short time', async () => {
    const { cache, pass } = await withKey({ negativeTtlMs: 30_000 });
    expect(await asked(cache, 'x')).toBeUndefined();
    expect(atOnce(cache, 'x')).toBeUndefined();
    for (let ms = 0; ms < 30_000; ms += 300) await pass(300);
    expect(await asked(cache, 'x')).toBeUndefined();
  });

  test('works from the first poll after its import, and so when the import returns', async () => {
    const { cache, registry, pass } = await withKey();
    expect(await asked(cache, 'x')).toBeUndefined();
    registry.putKey('x');
    await pass(300);
    expect(await asked(cache, 'x')).toBeDefined();
  });

  test('is not believed to be unknown while the fence is shut', async () => {
    const { cache, registry, source, pass } = await withKey();
    expect(await asked(cache, 'x')).toBeUndefined();
    source.held.add('changes');
    registry.putKey('x');
    await pass(1_300);
    expect(await asked(cache, 'x')).toBeDefined();
  });
});

describe('the fence', () => {
  test('shuts when the lease has passed since the START of the last poll', async () => {
    const { cache, source, clock, pass } = await withKey();
    source.held.add('changes');
    await pass(300);
    clock.advance(600);
    source.reads[0]?.deliver();
    await settled();
    // That poll began at 300; the next one hangs.
    clock.advance(399);
    expect(atOnce(cache, 'k')).toBeDefined();
    clock.advance(1);
    expect(cache.state().fence).toBe('closed');
    await asked(cache, 'k');
    expect(source.begun.get('key')).toBe(2);
  });

  test('is shut for the first request after the event loop stood still', async () => {
    const { cache, registry, clock } = await withKey();
    registry.revoke('k');
    clock.stall(2_000);
    expect(await asked(cache, 'k')).toBeUndefined();
  });

  test('goes by the wall clock too, since a suspended machine stops the other one', async () => {
    const { cache, clock, pass } = await withKey();
    clock.suspend(1_000);
    expect(cache.state().fence).toBe('closed');
    await asked(cache, 'k');
    await pass(300);
    expect(cache.state().fence).toBe('open');
  });

  test('does not trust a wall clock that was set back', async () => {
    const { cache, clock, pass } = await withKey();
    clock.setWall(-3_600_000);
    expect(cache.state().fence).toBe('closed');
    // The lease is said again first, and the poll after that opens the fence.
    await pass(300);
    await pass(300);
    expect(atOnce(cache, 'k')).toBeDefined();
  });

  test('opens again by itself, and memory is right again', async () => {
    const { cache, registry, source, pass } = await withKey();
    registry.putKey('gone');
    await asked(cache, 'gone');
    source.isDown = true;
    for (let ms = 0; ms < 60_000; ms += 300) await pass(300);
    registry.revoke('gone');
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
    source.isDown = false;
    await pass(300);
    expect(atOnce(cache, 'k')).toBeDefined();
    expect(await asked(cache, 'gone')).toBeUndefined();
  });

  test('is shut for good once the cache is closed', async () => {
    const { cache, source, pass } = await withKey();
    cache.close();
    const polls = source.begun.get('changes');
    await pass(10_000);
    expect(cache.state().fence).toBe('closed');
    expect(source.begun.get('changes')).toBe(polls);
  });
});
