/**
 * Redis as something that may be asked, and that never holds anybody up.
 *
 * Promise: `ask` never throws or rejects, and ends within 50 ms; while Redis is down it ends at
 * once. Nothing is repeated or kept for later. Redis is an accelerator here: whoever gets no
 * answer has another way, the store or a limit of the gateway's own.
 *
 * Why one late answer is enough to be down, and not a rate of them: with a rate, a Redis that
 * hangs costs 50 ms again and again until the rate is reached. To be down in vain costs a PING
 * 250 ms later, and until then some reads of the store, which can bear them all.
 */
import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';
import { parseRedisUrl, type RedisTarget } from '../core/redis-url.ts';
import type { Log } from '../observability/observability.ts';
import { createRedisClient, createRedisSubscriber, type RedisClient } from './redis-client.ts';
import { isConnectionFault } from './redis-fault.ts';
import { createLink } from './redis-link.ts';
import { createRedisNotes } from './redis-notes.ts';

export type RedisConnection = {
  /** What every name in Redis begins with. */
  readonly keyPrefix: string;
  /**
   * What `run` resolves with. Undefined: Redis is down, does not answer in time, or answers with
   * an error. `run` may send several commands, in one go, and each must be of one key.
   */
  ask<T>(run: (client: RedisClient) => Promise<T>): Promise<T | undefined>;
  /** `run` is called for each message; some may be missed. */
  subscribe(channel: string, run: () => void): void;
  state(): 'up' | 'down';
  /** May be called twice. */
  close(): void;
};

export type RedisOptions = {
  readonly url: string;
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly log?: Log | undefined;
};

/** A key and its agents are two questions: together less than a client notices. */
const deadlineMs = 50;
/** Questions that were not answered yet, late ones counted: what a dead connection can hold. */
const underWayMax = 1_000;

/** Connects in the background. Throws `GatewayError` for a setting that can never work. */
export function openRedis(options: RedisOptions): RedisConnection {
  const { clock, keyPrefix, log } = options;
  const target = targetOf(options.url);
  const noted = { clock, log, redis: namesOf(target) };
  const notes = createRedisNotes({
    ...noted,
    faultText: 'Redis cannot be used: keys are read from the store, limits hold per gateway',
    upText: 'Redis answers',
  });
  const link = createLink<RedisClient>({
    clock,
    make: () => createRedisClient(target),
    ping,
    deadlineMs,
    onUp: notes.up,
    onFault: notes.fault,
  });
  const refusals = createRedisNotes({
    ...noted,
    faultText: 'Redis refuses a command, and is asked on',
    upText: '',
  });
  const links: { close(): void }[] = [link];
  /** Until somebody has waited for the first connection, as a command that has just begun does. */
  let connecting = true;
  let underWay = 0;

  async function firstClient(untilMs: number): Promise<RedisClient | undefined> {
    if (connecting) await before(untilMs, link.first, clock);
    connecting = false;
    return link.client();
  }

  async function ask<T>(run: (client: RedisClient) => Promise<T>): Promise<T | undefined> {
    const untilMs = clock.monotonicMs() + deadlineMs;
    const client = link.client() ?? (await firstClient(untilMs));
    if (client === undefined || underWay >= underWayMax) return undefined;
    underWay += 1;
    const answer = settled(client, run).finally(() => {
      underWay -= 1;
    });
    const outcome = await before(untilMs, answer, clock);
    if (outcome === undefined) link.late();
    else if ('value' in outcome) return outcome.value;
    else if (isConnectionFault(outcome.fault)) link.failed(outcome.fault);
    else refusals.fault(outcome.fault);
    return undefined;
  }

  return {
    keyPrefix,
    ask,
    subscribe(channel, run) {
      links.push(openSubscription({ ...noted, target, channel, run }));
    },
    state: () => (link.client() === undefined ? 'down' : 'up'),
    close() {
      for (const each of links) each.close();
    },
  };
}

type SubscriptionOptions = {
  readonly target: RedisTarget;
  readonly channel: string;
  readonly run: () => void;
  readonly clock: Clock;
  readonly log: Log | undefined;
  readonly redis: string;
};

/** On a connection of its own, since one with subscriptions takes no other commands. */
function openSubscription(options: SubscriptionOptions): { close(): void } {
  const { target, channel, run, clock } = options;
  const notes = createRedisNotes({
    ...options,
    faultText: 'Redis tells of no changes: they are seen by the next poll of the store',
    upText: 'Redis tells of changes',
  });
  return createLink({
    clock,
    make(attempt) {
      const client = createRedisSubscriber(target, attempt);
      client.on('message', () => run());
      return client;
    },
    prepare: (client) => client.subscribe(channel),
    ping: (client) => client.ping(),
    deadlineMs,
    onUp: notes.up,
    onFault: notes.fault,
  });
}

function targetOf(url: string): RedisTarget {
  const target = parseRedisUrl(url);
  if (typeof target === 'string') {
    throw new GatewayError('store_unavailable', `correct auth.redis.url: ${target}`);
  }
  try {
    if (target.caFile !== undefined) readFileSync(target.caFile);
  } catch (cause) {
    const hint = 'correct ca_file in auth.redis.url: the file cannot be read';
    throw new GatewayError('store_unavailable', hint, { cause });
  }
  return target;
}

function namesOf({ addresses }: RedisTarget): string {
  return addresses.map(({ host, port }) => `${host}:${port}`).join(',');
}

type Outcome<T> = { readonly value: T } | { readonly fault: unknown };

async function settled<T>(
  client: RedisClient,
  run: (client: RedisClient) => Promise<T>,
): Promise<Outcome<T>> {
  try {
    return { value: await run(client) };
  } catch (fault) {
    return { fault };
  }
}

/** Undefined if the work is not done by then; by the clock, however late its timer comes. */
function before<T>(untilMs: number, work: Promise<T>, clock: Clock): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(untilMs - clock.monotonicMs(), () => resolve(undefined));
    void work.then((value) => {
      cancel();
      resolve(clock.monotonicMs() <= untilMs ? value : undefined);
    });
  });
}

/** A Cluster is there when all its masters are; one that hangs would cost its share of requests. */
async function ping(client: RedisClient): Promise<void> {
  if (!(client instanceof Cluster)) {
    await client.ping();
    return;
  }
  const masters = client.nodes('master');
  if (masters.length === 0) throw new Error('no node of the Cluster answers');
  await Promise.all(masters.map((master) => master.ping()));
}
