/** One run of the model: events that chance picks, and what was wrong with the answers. */
import type { Grant } from '../../src/auth/store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { FakeRegistry, HeldRead } from '../auth/fake-source.ts';
import { createSeededRandom, type SeededRandom } from '../fuzz/seeded-random.ts';
import { type Call, createHistory } from './revocation-history.ts';
import { createWorld, type Gateway, type World } from './revocation-world.ts';

const eventsPerRun = 40;
/** Whatever follows at once from an event has happened. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const hashes = ['all', 'scoped', 'foreign', 'later'];
/** Nobody can ask for these before they are created. */
const created = ['new1', 'new2', 'new3'];

type Target = {
  readonly registry: FakeRegistry;
  /** Keys that were made, also those that are revoked by now. */
  readonly existing: string[];
  readonly hash: string;
  readonly agent: string;
  readonly project: string;
};

/** What an operator may do; what cannot be done at the moment changes nothing. */
const changes: readonly {
  readonly name: string;
  /** The call returns once the longest lease that the store knows of has passed. */
  readonly isWaitedFor: boolean;
  make(target: Target): void;
}[] = [
  {
    name: 'revoke',
    isWaitedFor: true,
    make({ registry, hash }) {
      if (registry.keys.has(hash)) registry.revoke(hash);
    },
  },
  {
    name: 'narrow the scope',
    isWaitedFor: true,
    make({ registry, hash, agent }) {
      const key = registry.keys.get(hash);
      if (key !== undefined) registry.putKey(hash, { ...key, scope: 'agents', agents: [agent] });
    },
  },
  {
    name: 'widen the scope',
    isWaitedFor: true,
    make({ registry, hash }) {
      const key = registry.keys.get(hash);
      if (key !== undefined) registry.putKey(hash, { ...key, scope: 'all', agents: [] });
    },
  },
  {
    name: 'remove the agent',
    isWaitedFor: true,
    make({ registry, agent }) {
      const owner = ownerOf(registry, agent);
      if (owner !== undefined) registry.removeAgent(owner, agent);
    },
  },
  {
    name: 'add the agent',
    isWaitedFor: true,
    make({ registry, agent, project }) {
      if (ownerOf(registry, agent) === undefined) registry.addAgent(project, agent);
    },
  },
  {
    name: 'import',
    isWaitedFor: true,
    make({ registry, existing, project }) {
      if (existing.includes('later')) return;
      existing.push('later');
      registry.putKey('later', { projectId: project });
    },
  },
  {
    name: 'create',
    isWaitedFor: false,
    make({ registry, existing, project }) {
      const fresh = created.find((one) => !existing.includes(one));
      if (fresh === undefined) return;
      existing.push(fresh);
      registry.putKey(fresh, { projectId: project });
    },
  },
];

function ownerOf(registry: FakeRegistry, agent: string): string | undefined {
  return ['p1', 'p2'].find((id) => registry.agents(id).value.has(agent));
}

/** How often what happened, so that a run that tests nothing is seen. */
export const seen = {
  memory: 0,
  read: 0,
  unknownAtOnce: 0,
  unknown: 0,
  refused: 0,
  shared: 0,
  stale: 0,
  restored: 0,
};

class Play {
  readonly random: SeededRandom;
  readonly world: World;
  readonly history;
  readonly leaseMs: number;
  readonly staleIfErrorMs: number;
  /** Counts events, so that what happens at one millisecond has an order too. */
  at = 0;
  readonly events: string[] = [];
  readonly faults: string[] = [];
  unanswered = 0;
  readonly waiting: { readonly call: Call; readonly returnsAtMs: number }[] = [];
  readonly existing = ['all', 'scoped', 'foreign'];
  /** Suspended machines and clocks that are set back hide each other; no program can tell. */
  readonly mayStepBack: boolean;

  constructor(seed: number) {
    this.random = createSeededRandom(seed);
    this.staleIfErrorMs = this.random.below(4) === 0 ? 2_000 : 0;
    this.mayStepBack = this.random.below(2) === 0;
    this.leaseMs = this.random.pick([200, 400, 1_000]);
    this.world = createWorld(this.random, {
      gateways: 1 + this.random.below(2),
      leaseMs: this.leaseMs,
      staleIfErrorMs: this.staleIfErrorMs,
    });
    const { registry } = this.world;
    registry.addAgent('p1', 'a');
    registry.addAgent('p1', 'b');
    registry.addAgent('p2', 'c');
    registry.putKey('all');
    registry.putKey('scoped', { scope: 'agents', agents: ['a', 'b'] });
    registry.putKey('foreign', { projectId: 'p2' });
    this.history = createHistory(registry, [...hashes, ...created]);
  }

  gateway(): Gateway {
    return this.random.pick(this.world.gateways);
  }

  ask(): void {
    const { machine, cache } = this.gateway();
    if (machine.state !== 'runs') return;
    const hash = this.random.pick([...hashes, ...this.existing]);
    const askedAt = this.at;
    const judge = (grant: Grant | undefined, atOnce: boolean) => {
      if (grant === undefined) seen[atOnce ? 'unknownAtOnce' : 'unknown'] += 1;
      else seen[atOnce ? 'memory' : 'read'] += 1;
      const { nowMs } = this.world;
      const isStale = this.staleIfErrorMs > 0 && grant !== undefined;
      const windowMs = this.leaseMs + (isStale ? this.staleIfErrorMs : 0);
      const fault = this.history.fault({
        ...{ hash, askedAt, grant, nowMs, windowMs },
        // Revokes do not wait for stale_if_error.
        minded: !isStale,
      });
      if (fault !== undefined) this.faults.push(`${hash}, asked at ${askedAt}: ${fault}`);
    };
    this.note(`ask ${hash}`);
    const answer = cache.lookup(hash);
    if (!(answer instanceof Promise)) {
      judge(answer, true);
      return;
    }
    this.unanswered += 1;
    answer
      .then(
        (grant) => judge(grant, false),
        (thrown) => this.refused(thrown),
      )
      .finally(() => {
        this.unanswered -= 1;
      });
  }

  refused(thrown: unknown): void {
    seen.refused += 1;
    if (GatewayError.from(thrown).kind === 'store_unavailable') return;
    this.faults.push(`refused with ${String(thrown)}`);
  }

  /** Some read of some gateway sees the registry, is answered, or fails. */
  progress(): void {
    const { machine, source, shared } = this.gateway();
    if (machine.state !== 'runs') {
      if (this.random.below(4) === 0) machine.state = 'runs';
      return;
    }
    const answerShared = shared.answers.shift();
    answerShared?.();
    if (source.isDown && this.random.below(3) === 0) source.isDown = false;
    const read = this.pickRead(source.reads);
    if (read === undefined) return;
    const what = this.random.below(60);
    this.note(`${what === 0 ? 'fail' : what < 15 ? 'look' : 'deliver'} ${read.kind} ${read.name}`);
    if (what === 0) read.fail();
    else if (what < 15) read.look();
    else read.deliver();
  }

  /** The newest, one of the feed, or any: many of the old ones are waited for no more. */
  pickRead(reads: readonly HeldRead[]): HeldRead | undefined {
    const chance = this.random.below(4);
    if (chance === 0) return reads[this.random.below(reads.length)];
    if (chance === 1) return reads.at(-1);
    return reads.findLast(({ kind }) => kind !== 'key' && kind !== 'agents') ?? reads.at(-1);
  }

  /** Timers run up to that much late, and sometimes the event loop does not get to them at all. */
  pass(ms: number, isBlocked = this.random.below(4) === 0): void {
    this.note(`pass ${ms}`);
    this.world.nowMs += ms;
    for (const { machine } of this.world.gateways) {
      if (machine.state === 'suspended') machine.sleep(ms);
      if (machine.state === 'runs' && !isBlocked) machine.runTimers();
    }
    for (const { call, returnsAtMs } of this.waiting) {
      if (returnsAtMs <= this.world.nowMs) call.returnedAt = Math.min(call.returnedAt, this.at);
    }
  }

  change(): void {
    const { registry, nowMs } = this.world;
    const hash = this.random.pick(this.existing);
    const agent = this.random.pick(['a', 'b', 'c']);
    const project = this.random.pick(['p1', 'p2']);
    const kind = this.random.pick(changes);
    const before = registry.version;
    kind.make({ registry, existing: this.existing, hash, agent, project });
    if (registry.version === before) return;
    this.note(`${kind.name} (${hash}, ${agent}, ${project})`);
    const waitMs = kind.isWaitedFor ? Math.max(0, ...registry.leasesMs) : 0;
    const call: Call = { returnedAt: waitMs === 0 ? this.at : Infinity };
    this.history.changed(nowMs, call);
    this.waiting.push({ call, returnsAtMs: nowMs + waitMs });
  }

  disturb(): void {
    const gateway = this.gateway();
    const { machine, shared, source } = gateway;
    const which = this.random.below(9);
    this.note(`disturb ${which}`);
    if (which === 0) shared.isDown = !shared.isDown;
    else if (which === 1) machine.stepWall(700);
    else if (which === 2 && this.mayStepBack) machine.stepWall(-700);
    else if (which === 3) this.toggle(machine, this.mayStepBack ? 'stopped' : 'suspended');
    else if (which === 4) source.isDown = !source.isDown;
    else if (which === 5) this.restart(gateway);
    else if (which < 8) this.restore();
    else this.toggle(machine, 'stopped');
  }

  restart(gateway: Gateway): void {
    if (gateway.machine.state !== 'runs') return;
    gateway.replace();
    void gateway.cache.start();
  }

  /** The last changes are lost, with a failover. */
  restore(): void {
    const { registry } = this.world;
    const at = registry.ago(1 + this.random.below(2));
    if (at === undefined) return;
    registry.goBackTo(at);
    seen.restored += 1;
    // Nobody is told that it was done.
    this.history.changed(this.world.nowMs, { returnedAt: Infinity });
  }

  toggle(machine: Gateway['machine'], state: 'stopped' | 'suspended'): void {
    machine.state = machine.state === 'runs' ? state : 'runs';
  }

  note(event: string): void {
    this.events.push(`${this.at} ${this.world.nowMs} ${event}`);
  }

  next(): void {
    this.at += 1;
    const chance = this.random.below(100);
    if (chance < 28) this.ask();
    else if (chance < 76) this.progress();
    else if (chance < 89) this.pass(this.random.pick([1, 5, 40, 120, 290, 310]));
    else if (chance < 96) this.change();
    else this.disturb();
  }

  async start(): Promise<void> {
    // Some begin on a store that answers, and some in the middle of it all.
    const isCalm = this.random.below(4) > 0;
    const started = this.world.gateways.map(({ cache, source }) => {
      if (!isCalm) this.hold(source);
      return cache.start();
    });
    if (isCalm) {
      await Promise.all(started);
      for (const { shared } of this.world.gateways) shared.isDown = true;
      for (const { cache } of this.world.gateways) await cache.lookup(this.random.pick(hashes));
    }
    for (const { source, shared } of this.world.gateways) {
      this.hold(source);
      shared.isDown = false;
    }
  }

  hold({ held }: Gateway['source']): void {
    for (const kind of ['key', 'agents', 'before', 'changes', 'lease'] as const) held.add(kind);
  }

  /** The faults end; everyone must be answered, and memory must count again. */
  async end(): Promise<void> {
    for (const { machine, source, shared } of this.world.gateways) {
      machine.state = 'runs';
      source.isDown = false;
      source.held.clear();
      for (const read of [...source.reads]) read.deliver();
      shared.isDown = true;
      for (const answer of shared.answers.splice(0)) answer();
    }
    for (let round = 0; round < 4; round += 1) {
      this.pass(600, false);
      await turn();
    }
    if (this.unanswered > 0) this.faults.push(`${this.unanswered} requests are not answered`);
    for (const { cache } of this.world.gateways) {
      if (cache.state().fence !== 'open') this.faults.push('the fence stays shut');
      const { sharedHits, staleServed } = cache.counters();
      seen.shared += sharedHits;
      seen.stale += staleServed;
      cache.close();
    }
  }
}

export async function playRevocation(seed: number): Promise<void> {
  const run = new Play(seed);
  await run.start();
  for (let event = 0; event < eventsPerRun && run.faults.length === 0; event += 1) {
    run.next();
    await turn();
  }
  if (run.faults.length === 0) await run.end();
  if (run.faults.length === 0) return;
  throw new Error(`FUZZ_SEED=${seed}: ${run.faults.join('; ')}\n${run.events.join('\n')}`);
}
