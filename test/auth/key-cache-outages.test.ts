/** What users see while the store is down or hangs, while keys are guessed, and of the lease. */
import { describe, expect, test } from 'vitest';
import { createFakeSharedCache } from './fake-shared-cache.ts';
import {
  asked,
  atOnce,
  type OpenKeyCache,
  openKeyCache,
  refusal,
  settled,
} from './open-key-cache.ts';

async function started(options: Parameters<typeof openKeyCache>[0] = {}): Promise<OpenKeyCache> {
  const opened = openKeyCache(options);
  opened.registry.addAgent('p1', 'a');
  opened.registry.putKey('k');
  await opened.cache.start();
  await asked(opened.cache, 'k');
  return opened;
}

async function passInSteps({ pass }: OpenKeyCache, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 300) await pass(Math.min(300, ms - passed));
}

describe('a store that is down', () => {
  test('from the start: the gateway starts, refuses no key, and gets well by itself', async () => {
    const opened = openKeyCache({ shared: createFakeSharedCache() });
    const { cache, registry, source, logged, pass } = opened;
    registry.putKey('k');
    source.isDown = true;
    await cache.start();
    expect(cache.state()).toMatchObject({ fence: 'closed', lastPollAgeMs: undefined });
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
    source.isDown = false;
    await passInSteps(opened, 1_500);
    expect(cache.state().fence).toBe('open');
    expect(await asked(cache, 'k')).toBeDefined();
    await pass(0);
    expect(logged.length).toBeLessThan(4);
  });

  test('is never a reason to call a key unknown, not even one that was', async () => {
    const { cache, source, pass } = await started({ shared: createFakeSharedCache() });
    expect(await asked(cache, 'x')).toBeUndefined();
    source.isDown = true;
    await pass(300);
    expect(atOnce(cache, 'x')).toBeUndefined();
    await pass(700);
    expect(await refusal(asked(cache, 'x'))).toBe('store_unavailable');
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  });

  test('is asked by one request at a time, the others fail at once', async () => {
    const opened = await started();
    const { cache, source, clock, pass } = opened;
    source.held.add('key').add('changes');
    clock.stall(1_000);
    const first = refusal(asked(cache, 'w'));
    await settled();
    await pass(500);
    expect(await first).toBe('store_unavailable');
    const reads = source.begun.get('key') ?? 0;
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
    expect(source.begun.get('key')).toBe(reads);
    await pass(100);
    const probe = asked(cache, 'k');
    const others = ['x', 'y', 'z'].map((hash) => refusal(asked(cache, hash)));
    expect(await Promise.all(others)).toEqual(Array(3).fill('store_unavailable'));
    expect(source.begun.get('key')).toBe(reads + 1);
    source.held.clear();
    source.reads.findLast(({ kind }) => kind === 'key')?.deliver();
    expect(await probe).toBeDefined();
    expect(await asked(cache, 'y')).toBeUndefined();
  });

  test('is not shut for all by one project that cannot be read in time', async () => {
    const { cache, registry, source, pass } = await started();
    registry.putKey('large', { projectId: 'p2' });
    await pass(300);
    source.held.add('agents');
    const large = refusal(asked(cache, 'large'));
    await settled();
    await pass(250);
    await pass(250);
    expect(await large).toBe('store_unavailable');
    expect(await asked(cache, 'x')).toBeUndefined();
  });

  test('is not shut for all by one key that cannot be read, while others can', async () => {
    const { cache, source, pass } = await started();
    source.held.add('key');
    const slow = refusal(asked(cache, 'slow'));
    await settled();
    source.held.clear();
    expect(await asked(cache, 'x')).toBeUndefined();
    await pass(500);
    expect(await slow).toBe('store_unavailable');
    expect(await asked(cache, 'y')).toBeUndefined();
  });

  test('is not tried for all by a key that could not be read', async () => {
    const { cache, source, pass } = await started();
    source.held.add('key');
    const slow = refusal(asked(cache, 'slow'));
    await settled();
    await pass(500);
    expect(await slow).toBe('store_unavailable');
    await pass(100);
    // It may try for itself, as it may be the only one that comes.
    const again = refusal(asked(cache, 'slow'));
    await settled();
    expect(source.reads.at(-1)?.name).toBe('slow');
    source.held.clear();
    expect(await asked(cache, 'x')).toBeUndefined();
    expect(await asked(cache, 'y')).toBeUndefined();
    await pass(500);
    expect(await again).toBe('store_unavailable');
  });

  test('that hangs costs a request its deadline, by the timer', async () => {
    const { cache, source, pass } = await started();
    source.held.add('key');
    const answer = refusal(asked(cache, 'x'));
    await settled();
    await pass(499);
    expect(cache.state().unknownKeys).toBe(0);
    await pass(1);
    expect(await answer).toBe('store_unavailable');
  });
});

describe('stale_if_error', () => {
  const staleIfErrorMs = 60_000;

  test('serves what was in memory for as long as it says, and no longer', async () => {
    const opened = await started({ staleIfErrorMs });
    const { cache, source } = opened;
    source.isDown = true;
    await passInSteps(opened, 60_900);
    expect(await asked(cache, 'k')).toBeDefined();
    expect(cache.counters().staleServed).toBe(1);
    await opened.pass(100);
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  });

  test('is counted on both clocks', async () => {
    const { cache, source, clock } = await started({ staleIfErrorMs });
    source.isDown = true;
    clock.suspend(61_000);
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  });

  test('is off by default', async () => {
    const { cache, source, clock } = await started();
    source.isDown = true;
    clock.stall(1_000);
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
    expect(cache.counters().staleServed).toBe(0);
  });

  test('serves nothing that was known to have changed', async () => {
    const opened = await started({ staleIfErrorMs });
    const { cache, registry, source, pass, clock } = opened;
    registry.revoke('k');
    await pass(300);
    source.isDown = true;
    clock.stall(1_000);
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  });

  test('serves no key that memory had to read again before the outage began', async () => {
    const opened = await started({ staleIfErrorMs, ttlMs: 3_000 });
    const { cache, source } = opened;
    await passInSteps(opened, 3_000);
    source.isDown = true;
    expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  });

  test('does not make a key unknown, and serves no unknown one', async () => {
    const { cache, source, clock } = await started({ staleIfErrorMs });
    expect(await asked(cache, 'x')).toBeUndefined();
    source.isDown = true;
    clock.stall(1_000);
    expect(await refusal(asked(cache, 'x'))).toBe('store_unavailable');
  });

  test('lets the store decide where it answers', async () => {
    const { cache, registry, source, clock } = await started({ staleIfErrorMs });
    source.held.add('changes');
    registry.revoke('k');
    clock.stall(1_000);
    expect(await asked(cache, 'k')).toBeUndefined();
  });
});

describe('keys that are in no cache', () => {
  test('are looked up a few at once; a line forms, and is bounded', async () => {
    const { cache, source } = await started();
    source.held.add('key');
    const answers = Array.from({ length: 32 + 1_024 }, (_, index) => asked(cache, `x${index}`));
    await settled();
    expect(source.reads).toHaveLength(32);
    expect(await refusal(asked(cache, 'one more'))).toBe('overloaded');
    expect(cache.counters().refusedBySemaphore).toBe(1);
    expect(atOnce(cache, 'k')).toBeDefined();
    source.held.clear();
    for (const read of [...source.reads]) read.deliver();
    expect(new Set(await Promise.all(answers))).toEqual(new Set([undefined]));
    expect(source.begun.get('key')).toBe(1 + 32 + 1_024);
  });

  test('do not wait in line for longer than a read may take', async () => {
    const { cache, source, clock } = await started();
    source.held.add('key');
    const first = Array.from({ length: 32 }, (_, index) => asked(cache, `x${index}`));
    await settled();
    const waiting = refusal(asked(cache, 'waiting'));
    for (const answer of first) answer.catch(() => {});
    await settled();
    clock.stall(500);
    for (const read of [...source.reads]) read.deliver();
    expect(await waiting).toBe('overloaded');
  });

  test('never slow down one that is known and has to be read again', async () => {
    const { cache, source, clock } = await started();
    source.held.add('key');
    for (let index = 0; index < 1_000; index += 1) {
      asked(cache, `x${index}`).catch(() => {});
    }
    await settled();
    clock.stall(1_000);
    source.held.clear();
    expect(await asked(cache, 'k')).toBeDefined();
  });

  test('of a suspect have two places and no line, and others do not feel it', async () => {
    const { cache, registry, source } = await started();
    registry.putKey('new');
    source.held.add('key');
    const two = [1, 2].map((index) => asked(cache, `x${index}`, { suspect: true }));
    await settled();
    expect(await refusal(asked(cache, 'x3', { suspect: true }))).toBe('rate_limited');
    // The same key in the same moment, from an address that guesses none.
    const refused = refusal(asked(cache, 'x4', { suspect: true }));
    const other = asked(cache, 'x4');
    expect(await refused).toBe('rate_limited');
    // It may share a read that is under way, and may use what is known.
    const joined = asked(cache, 'x1', { suspect: true });
    expect(cache.lookup('k', { suspect: true })).toBeDefined();
    const honest = asked(cache, 'x1');
    await settled();
    source.held.clear();
    expect(await asked(cache, 'new')).toBeDefined();
    for (const read of [...source.reads]) read.deliver();
    expect(await Promise.all([...two, joined, honest, other])).toEqual(Array(5).fill(undefined));
    expect(await asked(cache, 'x3', { suspect: true })).toBeUndefined();
  });
});

describe('the lease', () => {
  test('is told to the store before memory counts for the first time', async () => {
    const opened = openKeyCache();
    const { cache, registry, source, pass } = opened;
    registry.putKey('k');
    source.held.add('lease');
    const start = cache.start();
    await settled();
    expect(source.begun.get('changes')).toBeUndefined();
    await pass(1_000);
    await start;
    expect(cache.state().fence).toBe('closed');
    await passInSteps(opened, 1_200);
    source.held.clear();
    // A poll that began before the store knew of the lease does not open the fence.
    source.held.add('changes');
    await pass(300);
    const before = source.reads.find(({ kind }) => kind === 'changes');
    for (const read of source.reads.filter(({ kind }) => kind === 'lease')) read.deliver();
    await settled();
    before?.deliver();
    await settled();
    expect(cache.state().fence).toBe('closed');
    source.held.clear();
    await pass(300);
    await pass(300);
    expect(cache.state().fence).toBe('open');
    expect([...registry.leasesMs]).toEqual([1_000]);
  });

  test('is said again every 20 minutes; an hour without it shuts the fence', async () => {
    const opened = await started();
    const { cache, source, logged } = opened;
    await passInSteps(opened, 21 * 60_000);
    expect(source.begun.get('lease')).toBe(2);
    source.held.add('lease');
    await passInSteps(opened, 58 * 60_000);
    expect(cache.state().fence).toBe('open');
    await passInSteps(opened, 3 * 60_000);
    expect(cache.state().fence).toBe('closed');
    expect(logged.join()).toContain('lease');
    source.held.clear();
    await passInSteps(opened, 3_000);
    expect(cache.state().fence).toBe('open');
  });
});
