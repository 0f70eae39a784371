/** What a known key costs in memory and in time, in one process over a real PostgreSQL. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createKeyCache, openStore } from '../src/auth/auth.ts';
import { hashKey } from '../src/auth/key-format.ts';
import { systemClock } from '../src/core/clock.ts';
import { createObservability } from '../src/observability/observability.ts';
import { benchKey } from './bench-keys.ts';
import { serveCalls } from './child.ts';
import { median } from './statistics.ts';

export type KeyCacheCost = {
  /** Heap of one key that is remembered, all told. */
  readonly bytesPerKey: number;
  /** Of one look-up of a remembered key, hashing included. */
  readonly lookupMicros: number;
};

export type KeyCacheCalls = {
  measure(options: { databaseUrl: string; keys: number }): Promise<KeyCacheCost>;
};

const rounds = 15;
const lookupsPerRound = 20_000;
const knownKeys = 1_000;
const stepMs = 20;
/** Fewer than the look-ups that are let to the store at once. */
const readsAtOnce = 8;

serveCalls<KeyCacheCalls>({
  async measure({ databaseUrl, keys }) {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { log } = createObservability({ level: 'error' });
    const place = { kind: 'postgres', url: databaseUrl } as const;
    const opened = await openStore({ place, clock: systemClock });
    if (opened.source === undefined) throw new Error('PostgreSQL has a source');
    const cache = createKeyCache({
      source: opened.source,
      shared: undefined,
      clock: systemClock,
      log,
      keysMax: keys * 2,
      ttlMs: 3_600_000,
      negativeTtlMs: 30_000,
      leaseMs: 1000,
      staleIfErrorMs: 0,
    });
    await cache.start();
    const read = async (from: number) => {
      for (let index = from; index < keys; index += readsAtOnce) {
        await cache.lookup(hashKey(benchKey(index)));
      }
    };
    await cache.lookup(hashKey(benchKey(0)));
    collect();
    const before = process.memoryUsage().heapUsed;
    await Promise.all(Array.from({ length: readsAtOnce }, (_, from) => read(from)));
    collect();
    const bytesPerKey = (process.memoryUsage().heapUsed - before) / (keys - 1);
    const stride = Math.floor(keys / knownKeys);
    const known = Array.from({ length: knownKeys }, (_, index) => benchKey(index * stride));
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // The feed polls between the rounds: memory counts only while it does.
      do await new Promise((resolve) => setTimeout(resolve, stepMs));
      while (cache.state().fence === 'closed');
      const beganAtMs = performance.now();
      for (let call = 0; call < lookupsPerRound; call += 1) {
        const found = cache.lookup(hashKey(known[call % known.length] as string));
        if (found === undefined || found instanceof Promise) throw new Error('not in memory');
      }
      times.push(((performance.now() - beganAtMs) * 1000) / lookupsPerRound);
    }
    await cache.close();
    await opened.close();
    return { bytesPerKey, lookupMicros: median(times) };
  },
});
