/** A key cache over a registry in memory, with the time in the test's hands. */
import { setImmediate } from 'node:timers/promises';
import { expect } from 'vitest';
import { createKeyCache, type KeyCache, type KeyCacheOptions } from '../../src/auth/key-cache.ts';
import type { Grant } from '../../src/auth/store.ts';
import type { GatewayError } from '../../src/core/errors.ts';
import { createObservability } from '../../src/observability/observability.ts';
import {
  createFakeRegistry,
  createFakeSource,
  type FakeRegistry,
  type FakeSource,
} from './fake-source.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

/** A manual clock whose wall clock can be set, and whose monotonic clock can stand still. */
export type SteppedClock = ManualClock & {
  setWall(byMs: number): void;
  /** As a suspended machine sees it: the wall clock goes on, the monotonic one does not. */
  suspend(ms: number): void;
  /** As after a blocked event loop: time has passed, and no timer has run yet. */
  stall(ms: number): void;
};

export type OpenKeyCache = {
  readonly clock: SteppedClock;
  readonly registry: FakeRegistry;
  readonly source: FakeSource;
  readonly cache: KeyCache;
  readonly logged: string[];
  /** Time passes, and what is due happens. */
  pass(ms: number): Promise<void>;
};

export const settled = async (): Promise<void> => {
  await setImmediate();
};

export function createSteppedClock(): SteppedClock {
  const clock = createManualClock();
  let wallStepMs = 0;
  let stalledMs = 0;
  return {
    ...clock,
    wallMs: () => clock.wallMs() + stalledMs + wallStepMs,
    monotonicMs: () => clock.monotonicMs() + stalledMs,
    setWall(byMs) {
      wallStepMs += byMs;
    },
    suspend(ms) {
      wallStepMs += ms;
    },
    stall(ms) {
      stalledMs += ms;
    },
  };
}

export function openKeyCache(options: Partial<KeyCacheOptions> = {}): OpenKeyCache {
  const clock = createSteppedClock();
  const registry = createFakeRegistry(clock);
  const source = createFakeSource(registry);
  const logged: string[] = [];
  const { log } = createObservability({
    level: 'info',
    destination: { write: (line) => logged.push(line) },
  });
  const cache = createKeyCache({
    source,
    shared: undefined,
    clock,
    log,
    keysMax: 1_000,
    ttlMs: 300_000,
    negativeTtlMs: 30_000,
    leaseMs: 1_000,
    staleIfErrorMs: 0,
    ...options,
  });
  return {
    clock,
    registry,
    source,
    cache,
    logged,
    async pass(ms) {
      clock.advance(ms);
      await settled();
    },
  };
}

/** The answer, and that it came from memory: at once. */
export function atOnce(cache: KeyCache, hash: string): Grant | undefined {
  const answer = cache.lookup(hash);
  expect(answer, 'an answer from memory').not.toBeInstanceOf(Promise);
  return answer as Grant | undefined;
}

export function asked(
  cache: KeyCache,
  hash: string,
  options?: { readonly suspect?: boolean },
): Promise<Grant | undefined> {
  const answer = cache.lookup(hash, options);
  expect(answer, 'no answer from memory').toBeInstanceOf(Promise);
  return answer as Promise<Grant | undefined>;
}

/** The kind of the refusal. */
export async function refusal(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
  } catch (error) {
    return (error as GatewayError).kind;
  }
  throw new Error('the lookup was answered');
}
