/**
 * Several gateways on one registry and one shared cache. Nothing happens unless an event makes it
 * happen, so that any two things may come in any order.
 */
import { createKeyCache, type KeyCache } from '../../src/auth/key-cache.ts';
import type { AgentNames, StoredKey, Versioned } from '../../src/auth/key-source.ts';
import type { SharedCache } from '../../src/auth/shared-cache.ts';
import type { Clock } from '../../src/core/clock.ts';
import { createObservability } from '../../src/observability/observability.ts';
import {
  createFakeRegistry,
  createFakeSource,
  type FakeRegistry,
  type FakeSource,
} from '../auth/fake-source.ts';
import type { SeededRandom } from '../fuzz/seeded-random.ts';

const { log } = createObservability({ level: 'silent' });

type Timer = { readonly dueAtMs: number; readonly run: () => void };

/** A machine: its clocks, and whether anything runs on it. */
export type Machine = {
  readonly clock: Clock;
  state: 'runs' | 'stopped' | 'suspended';
  /** Runs what is due by its own clock. */
  runTimers(): void;
  stepWall(byMs: number): void;
  sleep(ms: number): void;
};

function createMachine(now: () => number): Machine {
  const timers = new Set<Timer>();
  let wallStepMs = 0;
  let sleptMs = 0;
  const monotonicMs = () => now() - sleptMs;
  return {
    state: 'runs',
    clock: {
      monotonicMs,
      wallMs: () => 1_000_000 + now() + wallStepMs,
      after(delayMs, run) {
        const timer = { dueAtMs: monotonicMs() + delayMs, run };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    runTimers() {
      for (const timer of timers) {
        if (timer.dueAtMs > monotonicMs()) continue;
        timers.delete(timer);
        timer.run();
      }
    },
    stepWall(byMs) {
      wallStepMs += byMs;
    },
    sleep(ms) {
      sleptMs += ms;
    },
  };
}

/** Answers with anything that was ever right, or with nothing; and whenever it likes. */
export type WildCache = SharedCache & { readonly answers: (() => void)[]; isDown: boolean };

function createWildCache(random: SeededRandom): WildCache {
  const keys = new Map<string, Versioned<StoredKey>[]>();
  const agents = new Map<string, Versioned<AgentNames>[]>();

  function ask<T>(all: ReadonlyMap<string, T[]>, name: string): Promise<T | undefined> {
    if (wild.isDown) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      wild.answers.push(() => {
        const records = all.get(name) ?? [];
        // The newest mostly, an old one at times: a dump, a lost tombstone, a late fill.
        resolve(random.below(3) > 0 ? records.at(-1) : records[random.below(records.length)]);
      });
    });
  }

  async function fill<T>(all: Map<string, T[]>, name: string, record: T): Promise<void> {
    const records = all.get(name);
    if (records === undefined) all.set(name, [record]);
    else records.push(record);
  }

  const wild: WildCache = {
    answers: [],
    isDown: false,
    readKey: (hash) => ask(keys, hash),
    readAgents: (projectId) => ask(agents, projectId),
    fillKey: (hash, key) => fill(keys, hash, key),
    fillAgents: (projectId, read) => fill(agents, projectId, read),
    async announce() {},
    onAnnouncement() {},
  };
  return wild;
}

export type Gateway = {
  readonly machine: Machine;
  readonly source: FakeSource;
  readonly shared: WildCache;
  cache: KeyCache;
  /** The process ends, and another one takes its place; it is yet to be started. */
  replace(): void;
};

export type World = {
  nowMs: number;
  readonly registry: FakeRegistry;
  readonly gateways: readonly Gateway[];
};

export type WorldOptions = {
  readonly gateways: number;
  readonly leaseMs: number;
  readonly staleIfErrorMs: number;
};

export function createWorld(random: SeededRandom, options: WorldOptions): World {
  const now = () => world.nowMs;
  const registry = createFakeRegistry({ monotonicMs: now });
  const shared = createWildCache(random);
  const gateways = Array.from({ length: options.gateways }, (): Gateway => {
    const machine = createMachine(now);
    // Few at once are too many, so that starting anew is common.
    const source = createFakeSource(registry, 3);
    const open = (): KeyCache =>
      createKeyCache({
        ...{ source, shared, clock: machine.clock, log },
        ...{ keysMax: 3, ttlMs: 5_000, negativeTtlMs: 3_000 },
        leaseMs: options.leaseMs,
        staleIfErrorMs: options.staleIfErrorMs,
      });
    const gateway: Gateway = {
      ...{ machine, source, shared, cache: open() },
      replace() {
        gateway.cache.close();
        gateway.cache = open();
      },
    };
    return gateway;
  });
  const world: World = { nowMs: 0, registry, gateways };
  return world;
}
