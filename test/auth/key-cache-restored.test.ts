/** A registry that is not the one that was known: a backup, or a failover that lost changes. */
import { expect, test } from 'vitest';
import type { SharedCache } from '../../src/auth/shared-cache.ts';
import { createFakeSharedCache } from './fake-shared-cache.ts';
import { createFakeSource } from './fake-source.ts';
import {
  asked,
  atOnce,
  type OpenKeyCache,
  openKeyCache,
  refusal,
  settled,
} from './open-key-cache.ts';

function open(shared = createFakeSharedCache()) {
  const opened = openKeyCache({ shared });
  opened.registry.addAgent('p1', 'a');
  opened.registry.putKey('k');
  return { ...opened, shared };
}

type Opened = OpenKeyCache & { readonly shared: SharedCache };

/** Another gateway on the same registry and shared cache, which starts now. */
async function startLater({ registry, shared, clock }: Opened) {
  const { cache } = openKeyCache({ shared, clock, source: createFakeSource(registry) });
  await cache.start();
  return cache;
}

async function pollsPass({ pass }: OpenKeyCache, count: number): Promise<void> {
  for (let poll = 0; poll < count; poll += 1) await pass(300);
}

test('a revoke after as many changes as were lost is seen by the next poll', async () => {
  const { cache, registry, pass } = open();
  const backup = registry.version;
  registry.putKey('lost');
  await cache.start();
  expect(await asked(cache, 'k')).toBeDefined();
  registry.goBackTo(backup);
  registry.revoke('k');
  await pass(300);
  expect(cache.state().fence).toBe('open');
  expect(await asked(cache, 'k')).toBeUndefined();
});

test('what was read of lost changes before a poll told of them is forgotten', async () => {
  const { cache, registry, pass } = open();
  await cache.start();
  const backup = registry.version;
  registry.putKey('ghost');
  registry.revoke('k');
  expect(await asked(cache, 'ghost')).toBeDefined();
  expect(await asked(cache, 'k')).toBeUndefined();
  registry.goBackTo(backup);
  await pass(300);
  expect(await asked(cache, 'ghost')).toBeUndefined();
  expect(await asked(cache, 'k')).toBeDefined();
});

test('what was read of lost changes before the first poll is forgotten, too', async () => {
  const { cache, registry, source } = open();
  const backup = registry.version;
  registry.putKey('ghost');
  source.held.add('before').add('agents');
  const start = cache.start();
  await settled();
  const answer = asked(cache, 'ghost');
  await settled();
  registry.goBackTo(backup);
  source.held.clear();
  for (const kind of ['before', 'agents']) {
    source.reads.find((read) => read.kind === kind)?.deliver();
    await settled();
  }
  await start;
  expect(cache.state().fence).toBe('open');
  expect(await answer).toBeUndefined();
  expect(await asked(cache, 'k')).toBeDefined();
});

test('records of what was lost are not believed by a gateway that starts later', async () => {
  const opened = open();
  const { cache, registry } = opened;
  const backup = registry.version;
  registry.putKey('ghost');
  await cache.start();
  expect(await asked(cache, 'ghost')).toBeDefined();
  expect(await asked(cache, 'k')).toBeDefined();
  registry.goBackTo(backup);
  registry.revoke('k');
  for (let index = 0; index < 5; index += 1) registry.putKey(`n${index}`);
  const later = await startLater(opened);
  expect(await asked(later, 'ghost')).toBeUndefined();
  expect(await asked(later, 'k')).toBeUndefined();
});

test('what was read before a change of something else is believed, however old it is', async () => {
  const opened = open();
  const { cache, registry, pass } = opened;
  await cache.start();
  const later = await startLater(opened);
  await pass(3_600_000);
  await pollsPass(opened, 3);
  expect(await asked(cache, 'k')).toBeDefined();
  registry.putKey('other');
  await pollsPass(opened, 1);
  expect(later.state()).toMatchObject({ fence: 'open', version: registry.version });
  expect(await asked(later, 'k')).toBeDefined();
  expect(later.counters()).toMatchObject({ sharedHits: 1, storeReads: 0 });
});

test('memory does not count until a restored store knows of the lease again', async () => {
  const opened = open();
  const { cache, registry, source } = opened;
  await cache.start();
  expect(await asked(cache, 'k')).toBeDefined();
  registry.leasesMs.clear();
  source.held.add('lease');
  await pollsPass(opened, 4);
  expect(cache.state().fence).toBe('closed');
  source.held.clear();
  for (const read of [...source.reads]) read.deliver();
  await pollsPass(opened, 8);
  expect(cache.state().fence).toBe('open');
  expect(registry.leasesMs.size).toBe(1);
});

test('the empty tables of a restore are a store that is away, not one without keys', async () => {
  const opened = open();
  const { cache, registry } = opened;
  await cache.start();
  expect(await asked(cache, 'k')).toBeDefined();
  const now = registry.version;
  registry.goBackTo(0);
  await pollsPass(opened, 5);
  expect(cache.state().fence).toBe('closed');
  expect(await refusal(asked(cache, 'k'))).toBe('store_unavailable');
  expect(await refusal(asked(cache, 'x'))).toBe('store_unavailable');
  registry.goBackTo(now);
  await pollsPass(opened, 1);
  expect(atOnce(cache, 'k')).toBeDefined();
});

test('a store that never had anything says of every key that it does not exist', async () => {
  const { cache } = openKeyCache();
  await cache.start();
  expect(await asked(cache, 'k')).toBeUndefined();
});
