/**
 * Keeps one connection to Redis: makes it, proves it, and makes another one in its place.
 *
 * A link is up while its client is connected and quick. Whoever uses the client tells the link
 * when in doubt; the link is then down at once, and asks in the background, by one PING after
 * another with growing pauses, until one is answered in time. A connection that failed, or on
 * which nothing is heard for long, is replaced; one that is only late is kept.
 */
import type { Clock } from '../core/clock.ts';

/** What the link needs of a client of the library. */
export type LinkedClient = {
  connect(): Promise<void>;
  disconnect(): void;
  readonly status: string;
  on(event: 'error', run: (fault: Error) => void): unknown;
  on(event: 'end', run: () => void): unknown;
};

export type LinkOptions<Client extends LinkedClient> = {
  readonly clock: Clock;
  /** A new client that is not yet connected; `attempt` counts from 0. */
  make(attempt: number): Client;
  /** Run once on each new connection, before its first PING. */
  prepare?(client: Client): Promise<unknown>;
  ping(client: Client): Promise<unknown>;
  /** An answer that takes longer is late. */
  readonly deadlineMs: number;
  onUp?(): void;
  /** Also for each attempt that fails while the link is down. */
  onFault?(fault: unknown): void;
};

export type Link<Client> = {
  /** The client, or undefined while the link is down. */
  client(): Client | undefined;
  /** Resolves when the first attempt to connect is over, either way. */
  readonly first: Promise<void>;
  /** An answer came late, or not yet. */
  late(): void;
  /** The connection is of no use any more. */
  failed(fault: unknown): void;
  close(): void;
};

const lateAnswer = 'no answer in time';
const pauseMinMs = 250;
const pauseMaxMs = 5_000;
/** How long a connection may be made or stay silent before it is replaced. */
const silenceMaxMs = 2_000;
/**
 * Also while the link is up: a subscription that hears nothing cannot tell silence from a dead
 * connection, and many a server and network ends connections on which nothing is said.
 */
const idleCheckMs = 10_000;

export function createLink<Client extends LinkedClient>(
  options: LinkOptions<Client>,
): Link<Client> {
  const { clock } = options;
  const held = createHeldClient(options, failed);
  let state: 'down' | 'up' | 'closed' = 'down';
  let pauseMs = pauseMinMs;
  let probing = false;
  let cancelProbe = (): void => {};

  function probeAfter(ms: number): void {
    cancelProbe();
    cancelProbe = clock.after(ms, () => void probe());
  }

  function down(fault: unknown): void {
    if (state !== 'up') return;
    state = 'down';
    options.onFault?.(fault);
    if (!probing) probeAfter(pauseMinMs);
  }

  function failed(fault: unknown): void {
    // A probe that is under way sees the fault itself, and tells what the connection said last.
    if (state === 'up' || !probing) held.drop();
    down(fault);
  }

  async function probe(): Promise<void> {
    probing = true;
    const proof = await held.prove();
    probing = false;
    if (state === 'closed') return;
    if (proof.kind !== 'quick') {
      state = 'down';
      options.onFault?.(proof.fault);
      probeAfter(pauseMs);
      pauseMs = proof.kind === 'late' ? pauseMinMs : Math.min(pauseMs * 2, pauseMaxMs);
      return;
    }
    pauseMs = pauseMinMs;
    if (state === 'down') {
      state = 'up';
      options.onUp?.();
    }
    probeAfter(idleCheckMs);
  }

  return {
    first: probe(),
    client: () => (state === 'up' ? held.client() : undefined),
    late: () => down(lateAnswer),
    failed,
    close() {
      state = 'closed';
      cancelProbe();
      held.drop();
    },
  };
}

type Proof =
  | { readonly kind: 'quick' }
  /** Late: the connection stands. Failed: it was dropped. */
  | { readonly kind: 'late' | 'failed'; readonly fault: unknown };

type HeldClient<Client> = {
  client(): Client | undefined;
  drop(): void;
  /** Makes and connects a client if there is none, and sends a PING. */
  prove(): Promise<Proof>;
};

function createHeldClient<Client extends LinkedClient>(
  options: LinkOptions<Client>,
  ended: (fault: unknown) => void,
): HeldClient<Client> {
  const { clock, deadlineMs } = options;
  let client: Client | undefined;
  let attempts = 0;
  let lastFault: unknown;

  function make(): Client {
    const made = options.make(attempts);
    attempts += 1;
    lastFault = undefined;
    made.on('error', (fault) => {
      if (client === made) lastFault = fault;
    });
    made.on('end', () => {
      if (client === made) ended(lastFault ?? 'the connection ended');
    });
    client = made;
    return made;
  }

  function drop(): void {
    client?.disconnect();
    client = undefined;
  }

  /** How long the PING took, in milliseconds. */
  async function ping(): Promise<number> {
    const pinged = client ?? make();
    if (pinged.status === 'wait') {
      await Promise.race([pinged.connect(), endOf(pinged)]);
      await options.prepare?.(pinged);
    }
    const startMs = clock.monotonicMs();
    await options.ping(pinged);
    if (client !== pinged) throw new Error('the connection ended');
    return clock.monotonicMs() - startMs;
  }

  return {
    client: () => client,
    drop,
    async prove() {
      try {
        const tookMs = await within(silenceMaxMs, ping(), clock);
        return tookMs <= deadlineMs ? { kind: 'quick' } : { kind: 'late', fault: lateAnswer };
      } catch (thrown) {
        drop();
        // "Connection is closed" is all that a command knows; the client knows why.
        return { kind: 'failed', fault: lastFault ?? thrown };
      }
    },
  };
}

/** A Cluster whose state is not ok ends without a word to whoever waits for its connection. */
function endOf(client: LinkedClient): Promise<never> {
  return new Promise((_, reject) => {
    client.on('end', () => reject(new Error('the connection ended')));
  });
}

/** Rejects once `ms` have passed. What comes later is dropped. */
function within<T>(ms: number, work: Promise<T>, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(new Error(lateAnswer)));
    work.then(resolve, reject).finally(cancel);
  });
}
