/** A forwarder with a memory queue and a clock that the test owns, and what it counted and said. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { createBudget } from '../../src/core/budget.ts';
import type { Delivery } from '../../src/core/delivery.ts';
import {
  createForwarder,
  type DownstreamOptions,
  type Forwarder,
  type RetryOptions,
} from '../../src/forwarder/forwarder.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createMemoryQueue, type Queue } from '../../src/queue/queue.ts';
import { createFakeClock, type FakeClock } from '../queue/fake-clock.ts';

export type OpenForwarder = {
  readonly forwarder: Forwarder;
  readonly queue: Queue;
  readonly clock: FakeClock;
  readonly logLines: readonly string[];
  /** Appends, and counts as accepted. */
  append(...deliveries: Delivery[]): Promise<void>;
  counts(): Promise<Counts>;
  /** Requests that had no answer. */
  unanswered(): Promise<number>;
  /** Resolves once nothing waits and nothing is under way, letting pauses pass. */
  emptied(): Promise<void>;
  close(): Promise<void>;
  /** Closes it, and checks that each appended span had exactly one counted outcome. */
  closeBalanced(): Promise<void>;
};

/** Spans: `dropped` by reason. */
export type Counts = {
  readonly delivered: number;
  readonly dropped: Readonly<Record<string, number>>;
};

const unanswered = /^mibo_gateway_downstream_request_duration_seconds_count\{status="0"\} (\d+)$/m;

export type OpenOptions = {
  readonly endpoint: string;
  readonly downstream?: Partial<DownstreamOptions>;
  readonly retry?: Partial<RetryOptions>;
  readonly batchBytesMax?: number;
  readonly random?: () => number;
};

const mebibyte = 1024 * 1024;
/** A day: sockets take real time, so a clock that is moved on for a lane must not end a request. */
const neverMs = 24 * 3600_000;
/** What is due by then is a lane that rests. */
const restMsMax = 10 * 60_000;

export function openForwarder(options: OpenOptions): OpenForwarder {
  const clock = createFakeClock();
  const logLines: string[] = [];
  const observability = createObservability({
    level: 'info',
    destination: { write: (line) => void logLines.push(line) },
  });
  const budget = createBudget(256 * mebibyte, clock);
  const queue = createMemoryQueue({ budget, clock });
  const forwarder = createForwarder({
    downstream: {
      endpoint: options.endpoint,
      tracesPath: '/v1/traces',
      tracesApiPath: '/public/traces',
      encoding: 'proto',
      compression: 'as_received',
      headers: {},
      timeoutMs: neverMs,
      connections: 4,
      ...options.downstream,
    },
    retry: {
      initialIntervalMs: 1000,
      maxIntervalMs: 30_000,
      multiplier: 1.5,
      randomizationFactor: 0.5,
      maxElapsedTimeMs: 0,
      ...options.retry,
    },
    batchBytesMax: options.batchBytesMax ?? 4 * mebibyte,
    clock,
    ...(options.random === undefined ? {} : { random: options.random }),
    observability,
  });
  let appended = 0;
  async function counts(): Promise<Counts> {
    return readCounts(await observability.metrics.text());
  }
  async function close(): Promise<void> {
    const stopped = forwarder.stop(0);
    clock.advance(0);
    await stopped;
    await queue.close();
  }
  return {
    forwarder,
    queue,
    clock,
    logLines,
    async append(...deliveries) {
      await queue.append(deliveries);
      for (const { items } of deliveries) appended += items;
    },
    counts,
    async unanswered() {
      return Number(unanswered.exec(await observability.metrics.text())?.[1] ?? 0);
    },
    async emptied() {
      while (queue.depth().deliveries > 0) {
        await setImmediate();
        const { nextInMs } = clock;
        if (nextInMs !== undefined && nextInMs <= restMsMax) clock.advance(nextInMs);
      }
      assert.equal(budget.usedBytes, 0, 'an empty queue holds no bytes');
    },
    close,
    async closeBalanced() {
      await close();
      const { delivered, dropped } = await counts();
      const ended = Object.values(dropped).reduce((sum, items) => sum + items, delivered);
      assert.equal(ended, appended, 'every span ends in exactly one counted outcome');
    },
  };
}

/** Resolves once it is true; each look comes after whatever the sockets have brought. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await setImmediate();
}

function readCounts(text: string): Counts {
  const dropped: Record<string, number> = {};
  let delivered = 0;
  const pattern = /^mibo_gateway_items_total\{outcome="(\w+)",reason="(\w+)"\} (\d+)$/gm;
  for (const [, outcome, reason = '', count] of text.matchAll(pattern)) {
    if (outcome === 'delivered') delivered += Number(count);
    if (outcome === 'dropped' && count !== '0') dropped[reason] = Number(count);
  }
  return { delivered, dropped };
}
