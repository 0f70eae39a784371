/** Whatever the downstream does, and whenever the gateway stops: every span has one outcome. */
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { delivery } from '../queue/delivery.ts';
import { type Downstream, type Respond, startDownstream } from './downstream.ts';
import { type OpenForwarder, openForwarder } from './open-forwarder.ts';

const json = { 'content-type': 'application/json' };

/** What a downstream may do; each request takes the next of a random list. */
const behaviours: Readonly<Record<string, Respond>> = {
  ok: (response) => response.writeHead(200).end(),
  partial: (response) =>
    response.writeHead(200, json).end('{"partialSuccess":{"rejectedSpans":"1"}}'),
  unavailable: (response) => response.writeHead(503).end(),
  throttled: (response) => response.writeHead(429, { 'retry-after': '3' }).end(),
  broken: (response) => response.writeHead(400).end('no'),
  forbidden: (response) => response.writeHead(403).end('no'),
  reset: (response) => response.socket?.resetAndDestroy(),
  half: (response) => {
    response.writeHead(200, { 'content-length': 9 }).write('half');
    response.socket?.destroySoon();
  },
};

type Scenario = {
  readonly agents: readonly number[];
  readonly kinds: readonly string[];
  readonly maxElapsedTimeMs: number;
  /** How many turns of the event loop pass before it stops; all of them if it is not cut short. */
  readonly turns: number;
  readonly cutShort: boolean;
};

const scenario: fc.Arbitrary<Scenario> = fc.record({
  agents: fc.array(fc.nat(9), { minLength: 30, maxLength: 120 }),
  kinds: fc.array(fc.constantFrom('ok', 'ok', ...Object.keys(behaviours)), {
    minLength: 1,
    maxLength: 40,
  }),
  maxElapsedTimeMs: fc.constantFrom(5000, 60_000),
  turns: fc.nat(300),
  cutShort: fc.boolean(),
});

async function play(opened: OpenForwarder, { agents, turns, cutShort }: Scenario): Promise<void> {
  opened.forwarder.run(opened.queue);
  for (const [index, agent] of agents.entries()) {
    await opened.append(delivery({ agentId: `agent-${agent}`, text: `s${index};` }));
    if (index % 7 === 0) await setImmediate();
  }
  if (!cutShort) {
    await opened.emptied();
    return;
  }
  for (let turn = 0; turn < turns; turn += 1) {
    await setImmediate();
    opened.clock.advance(50);
  }
}

function follow(kinds: readonly string[]): Respond {
  let count = 0;
  return (response, received) => {
    const kind = kinds[count % kinds.length] ?? 'ok';
    count += 1;
    behaviours[kind]?.(response, received);
  };
}

async function run(downstream: Downstream, random: Scenario): Promise<void> {
  downstream.respond = follow(random.kinds);
  downstream.accepted.length = 0;
  const opened = openForwarder({
    endpoint: downstream.endpoint,
    retry: { maxElapsedTimeMs: random.maxElapsedTimeMs },
  });
  await play(opened, random);
  await opened.closeBalanced();
  const { delivered, dropped } = await opened.counts();
  // What is counted as delivered did arrive, though some of it may have come more than once.
  const partial = dropped.partial_success_downstream ?? 0;
  expect(new Set(downstream.accepted).size).toBeGreaterThanOrEqual(delivered + partial);
}

test('every accepted span is delivered or dropped, and counted once', async () => {
  const downstream = await startDownstream();
  await fc.assert(
    fc.asyncProperty(scenario, (random) => run(downstream, random)),
    { numRuns: 100 },
  );
  await downstream.stop();
});
