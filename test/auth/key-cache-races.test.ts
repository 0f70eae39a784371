/** What meets in the wrong order: slow reads, hung polls, a registry that goes back. */
import { describe, expect, test } from 'vitest';
import { createFakeSharedCache, type FakeSharedCache } from './fake-shared-cache.ts';
import type { ReadKind } from './fake-source.ts';
import {
  asked,
  atOnce,
  type OpenKeyCache,
  openKeyCache,
  refusal,
  settled,
} from './open-key-cache.ts';

type WithShared = OpenKeyCache & { readonly shared: FakeSharedCache };

async function started(shared = createFakeSharedCache()): Promise<WithShared> {
  const opened = openKeyCache({ shared });
  opened.registry.addAgent('p1', 'a');
  opened.registry.putKey('k');
  await opened.cache.start();
  return { ...opened, shared };
}

/** The only read of its kind that is held. */
function held({ source }: OpenKeyCache, kind: ReadKind) {
  const reads = source.reads.filter((read) => read.kind === kind);
  expect(reads, `held reads of kind ${kind}`).toHaveLength(1);
  return reads[0] as (typeof reads)[number];
}

describe('a slow read of the primary', () => {
  test('that a revoke overtook is not accepted, and not kept', async () => {
    const opened = await started();
    const { cache, registry, source, pass } = opened;
    source.held.add('key');
    const answer = asked(cache, 'k');
    await settled();
    held(opened, 'key').look();
    registry.revoke('k');
    await pass(300);
    const slow = held(opened, 'key');
    source.held.clear();
    slow.deliver();
    expect(await answer).toBeUndefined();
    expect(atOnce(cache, 'k')).toBeUndefined();
  });

  test('that an agent removal overtook does not reach the agent', async () => {
    const opened = await started();
    const { cache, registry, source, pass } = opened;
    registry.addAgent('p1', 'b');
    source.held.add('agents');
    const answer = asked(cache, 'k');
    await settled();
    held(opened, 'agents').look();
    registry.removeAgent('p1', 'a');
    await pass(300);
    const slow = held(opened, 'agents');
    source.held.clear();
    slow.deliver();
    expect([...((await answer)?.tenant.agents.keys() ?? [])]).toEqual(['b']);
    expect([...(atOnce(cache, 'k')?.tenant.agents.keys() ?? [])]).toEqual(['b']);
  });

  test('counts by the clock: one that arrives late is thrown away, timer or not', async () => {
    const opened = await started();
    const { cache, source, clock } = opened;
    source.held.add('key');
    const answer = asked(cache, 'k');
    await settled();
    clock.stall(500);
    held(opened, 'key').deliver();
    expect(await refusal(answer)).toBe('store_unavailable');
    expect(cache.state().keys).toBe(0);
  });

  test('of a machine that was suspended meanwhile is thrown away', async () => {
    const opened = await started();
    const { cache, source, clock } = opened;
    source.held.add('key');
    const answer = asked(cache, 'k');
    await settled();
    clock.suspend(60_000);
    held(opened, 'key').deliver();
    expect(await refusal(answer)).toBe('store_unavailable');
  });

  test('never counts longer than a lease that is shorter than its deadline', async () => {
    const opened = openKeyCache({ leaseMs: 200 });
    opened.registry.putKey('k');
    await opened.cache.start();
    opened.source.held.add('key');
    const answer = asked(opened.cache, 'k');
    await settled();
    opened.clock.stall(200);
    held(opened, 'key').deliver();
    expect(await refusal(answer)).toBe('store_unavailable');
  });

  test('is given up where the key changes under every read', async () => {
    const { cache, registry, source, pass, ...rest } = await started();
    const opened = { cache, registry, source, pass, ...rest };
    source.held.add('key');
    const answer = asked(cache, 'k');
    answer.catch(() => {});
    for (let reads = 0; reads < 3; reads += 1) {
      await settled();
      held(opened, 'key').look();
      registry.putKey('k', { keyName: `name ${reads}` });
      opened.shared.wakeAll();
      await pass(20);
      held(opened, 'key').deliver();
    }
    expect(await refusal(answer)).toBe('store_unavailable');
    expect(source.begun.get('key')).toBe(3);
  });
});

describe('many requests of one key', () => {
  test('are one read of the store', async () => {
    const { cache, source } = await started();
    const answers = Array.from({ length: 1_000 }, () => asked(cache, 'k'));
    const grants = await Promise.all(answers);
    expect(new Set(grants).size).toBe(1);
    expect(source.begun.get('key')).toBe(1);
    expect(source.begun.get('agents')).toBe(1);
  });

  test('are one read also while the fence is shut', async () => {
    const { cache, source, clock } = await started();
    clock.stall(1_000);
    await Promise.all(Array.from({ length: 1_000 }, () => asked(cache, 'k')));
    expect(source.begun.get('key')).toBe(1);
  });

  test('share no read that began before the store knew of the lease', async () => {
    const { cache, registry, source } = openKeyCache();
    registry.putKey('k');
    source.held.add('key');
    const before = asked(cache, 'k');
    await settled();
    const read = source.reads[0];
    read?.look();
    registry.revoke('k');
    const after = Array.from({ length: 1_000 }, () => asked(cache, 'k'));
    source.held.clear();
    read?.deliver();
    expect(await before).toBeDefined();
    expect(new Set(await Promise.all(after))).toEqual(new Set([undefined]));
    expect(source.begun.get('key')).toBe(2);
  });

  test('of a thousand keys of one project read its agents once', async () => {
    const { cache, registry, source } = await started();
    const hashes = Array.from({ length: 1_000 }, (_, index) => `k${index}`);
    for (const hash of hashes) registry.putKey(hash);
    await Promise.all(hashes.map((hash) => asked(cache, hash)));
    expect(source.begun.get('agents')).toBe(1);
  });
});

describe('a poll', () => {
  test('that hangs is given up, and the fence opens when the next one gets through', async () => {
    const opened = await started();
    const { cache, source, pass } = opened;
    await asked(cache, 'k');
    source.held.add('changes');
    await pass(300);
    const hung = held(opened, 'changes');
    await pass(1_000);
    expect(cache.state().fence).toBe('closed');
    source.held.clear();
    await pass(0);
    expect(cache.state().fence).toBe('open');
    // What it says now is of another time.
    hung.deliver();
    await settled();
    expect(atOnce(cache, 'k')).toBeDefined();
  });

  test('is applied whole before the fence moves', async () => {
    const opened = await started();
    const { cache, registry, source, pass } = opened;
    await asked(cache, 'k');
    source.held.add('changes');
    await pass(300);
    registry.revoke('k');
    await pass(600);
    expect(atOnce(cache, 'k')).toBeDefined();
    held(opened, 'changes').deliver();
    await settled();
    expect(cache.state().fence).toBe('open');
    expect(await asked(cache, 'k')).toBeUndefined();
  });

  test('begins at once after an announcement, and never beside another one', async () => {
    const opened = await started();
    const { cache, registry, source, shared, pass } = opened;
    await asked(cache, 'k');
    await pass(100);
    registry.revoke('k');
    shared.wakeAll();
    await pass(0);
    expect(await asked(cache, 'k')).toBeUndefined();
    source.held.add('changes');
    shared.wakeAll();
    await pass(20);
    shared.wakeAll();
    await pass(20);
    expect(source.reads).toHaveLength(1);
    source.held.clear();
    held(opened, 'changes').deliver();
    await settled();
    const polls = source.begun.get('changes');
    await pass(0);
    expect(source.begun.get('changes')).toBe((polls ?? 0) + 1);
  });

  test('that brings too many changes makes memory start anew', async () => {
    const shared = createFakeSharedCache();
    const opened = await started(shared);
    const { cache, registry, source, pass } = opened;
    await asked(cache, 'k');
    await asked(cache, 'x');
    const old = shared.keys.get('k');
    registry.revoke('k');
    for (let index = 0; index < 10_001; index += 1) registry.putKey(`n${index}`);
    await pass(300);
    expect(cache.state()).toMatchObject({ fence: 'open', keys: 0, unknownKeys: 0, projects: 0 });
    if (old !== undefined) shared.keys.set('k', old);
    expect(await asked(cache, 'k')).toBeUndefined();
    expect(source.begun.get('key')).toBe(3);
  });

  test('that finds an older registry, as after a restore, starts everything anew', async () => {
    const shared = createFakeSharedCache();
    const opened = await started(shared);
    const { cache, registry, source, logged, pass } = opened;
    const backup = registry.version;
    registry.putKey('later');
    await asked(cache, 'k');
    await asked(cache, 'later');
    await pass(300);
    source.held.add('key');
    const slow = asked(cache, 'x');
    await settled();
    const read = held(opened, 'key');
    read.look();
    source.held.clear();
    const lost = shared.keys.get('later');
    registry.revoke('later');
    registry.goBackTo(backup);
    await pass(300);
    expect(cache.state()).toMatchObject({ fence: 'open', version: backup, keys: 0 });
    expect(logged.join()).toContain('went back');
    // Neither a read of the registry that is gone counts, nor a record of it.
    registry.putKey('x');
    read.deliver();
    expect(await slow).toBeDefined();
    if (lost !== undefined) shared.keys.set('later', lost);
    for (let index = 0; index < 5; index += 1) registry.putKey(`n${index}`);
    await pass(300);
    expect(await asked(cache, 'later')).toBeUndefined();
  });
});

describe('what was read while the feed stood still', () => {
  test('is not remembered before the feed has begun, since no change would end it', async () => {
    const { cache, registry, clock } = openKeyCache({ ttlMs: 3_600_000 });
    registry.putKey('k');
    expect(await asked(cache, 'k')).toBeDefined();
    expect(await asked(cache, 'x')).toBeUndefined();
    registry.revoke('k');
    registry.putKey('x');
    registry.putKey('other');
    // Older than what the feed begins with.
    clock.advance(600_000);
    await cache.start();
    expect(await asked(cache, 'k')).toBeUndefined();
    expect(await asked(cache, 'x')).toBeDefined();
  });

  test('of a project ends the agents that its other keys had', async () => {
    const { cache, registry, source, clock, pass } = await started();
    registry.putKey('other');
    await asked(cache, 'k');
    source.held.add('changes');
    await pass(300);
    registry.removeAgent('p1', 'a');
    clock.stall(1_000);
    // Newer than what the feed will tell of.
    expect((await asked(cache, 'other'))?.tenant.agents.size).toBe(0);
    source.held.clear();
    for (const read of [...source.reads]) read.deliver();
    await settled();
    await pass(300);
    expect(cache.state().fence).toBe('open');
    expect((await asked(cache, 'k'))?.tenant.agents.size).toBe(0);
  });
});

describe('a server that is behind', () => {
  test('what this gateway knows already is not believed', async () => {
    const opened = await started();
    const { cache, registry, source } = opened;
    source.held.add('key');
    const answer = asked(cache, 'x');
    answer.catch(() => {});
    for (let reads = 0; reads < 3; reads += 1) {
      await settled();
      const read = held(opened, 'key');
      const { version } = registry;
      registry.goBackTo(version - 1);
      read.look();
      registry.goBackTo(version);
      read.deliver();
    }
    expect(await refusal(answer)).toBe('store_unavailable');
  });
});
