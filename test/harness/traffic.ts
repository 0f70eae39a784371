/**
 * Steady traffic at many gateways, and a record of it: for each request when it was started and
 * what it was answered, so that a test can say what must not have been accepted any more.
 */
import { type Door, type Gate, sendExport } from './doors.ts';
import { grpcClient } from './grpc-client.ts';
import { type ExportToSend, makeExport } from './make-export.ts';
import { createWaiting } from './waiting.ts';

export type Answer = {
  readonly gateway: string;
  readonly door: Door;
  /** The name of the key, as given. */
  readonly key: string;
  /** Unix milliseconds, with fractions: before the first byte was sent. */
  readonly startedAtMs: number;
  /** The same, after the last byte of the answer. */
  readonly answeredAtMs: number;
  /** HTTP status, or the one beside the gRPC status; 0 if the connection failed. */
  readonly status: number;
  /** How long the answer asks to wait. */
  readonly retryMs: number | undefined;
};

export type Traffic = {
  /** All of them so far, as they came. */
  readonly answers: readonly Answer[];
  /** Resolves once `enough` holds; looked at after each answer. */
  until(enough: () => boolean): Promise<void>;
  /** Resolves once the last answer of each gateway and door to this key has this status. */
  untilLast(key: string, status: number): Promise<void>;
  /** So many more requests of each lane, all of them started from now on; resolves with them. */
  more(perLane: number): Promise<readonly Answer[]>;
  /** Resolves once each request is answered. */
  stop(): Promise<void>;
};

export type TrafficOptions = {
  readonly gateways: readonly {
    readonly name: string;
    readonly process: { readonly ports: { readonly grpc: number; readonly http: number } };
  }[];
  /** Name → key. There is one lane for each gateway, door and key. */
  readonly keys: Readonly<Record<string, string>>;
  readonly doors?: readonly Door[];
  /** What each request carries; one span without a target if left out. */
  readonly body?: ExportToSend;
  /** A lane starts a request so long after the last one began, or once that one is answered. */
  readonly everyMs?: number;
};

/** On the clock of the machine, but never going backwards. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

type Lane = { readonly gateway: string; readonly door: Door; readonly key: string };

export function startTraffic(options: TrafficOptions): Traffic {
  const { keys, doors = ['grpc', 'http proto'], everyMs = 40, body = makeExport({}) } = options;
  const answers: Answer[] = [];
  const waiting = createWaiting();
  let stopped = false;

  async function run(lane: Lane, gate: Gate): Promise<void> {
    while (!stopped) {
      const startedAtMs = nowMs();
      const headers = ['x-api-key', keys[lane.key] as string];
      const { status, retryMs } = await sendExport(gate, { door: lane.door, body, headers }).catch(
        () => ({ status: 0, retryMs: undefined }),
      );
      answers.push({ ...lane, startedAtMs, answeredAtMs: nowMs(), status, retryMs });
      waiting.look();
      await pause(startedAtMs + everyMs - nowMs());
    }
    gate.grpc.close();
  }

  const lanes = options.gateways.flatMap(({ name, process }) =>
    doors.flatMap((door) =>
      Object.keys(keys).map((key) => {
        const { grpc, http } = process.ports;
        return run({ gateway: name, door, key }, { grpc: grpcClient(grpc), httpPort: http });
      }),
    ),
  );

  return {
    answers,
    until: waiting.until,
    untilLast(key, status) {
      return waiting.until(() => {
        const last = new Map<string, number>();
        for (const answer of answers) {
          if (answer.key === key) last.set(`${answer.gateway} ${answer.door}`, answer.status);
        }
        const complete = last.size === options.gateways.length * doors.length;
        return complete && [...last.values()].every((it) => it === status);
      });
    },
    async more(perLane) {
      const sinceMs = nowMs();
      const from = answers.length;
      const started = () => answers.slice(from).filter((it) => it.startedAtMs >= sinceMs);
      await waiting.until(() => {
        const counts = new Map<string, number>();
        for (const { gateway, door, key } of started()) {
          const lane = `${gateway} ${door} ${key}`;
          counts.set(lane, (counts.get(lane) ?? 0) + 1);
        }
        return counts.size === lanes.length && Math.min(...counts.values()) >= perLane;
      });
      return started();
    },
    async stop() {
      stopped = true;
      await Promise.all(lanes);
    },
  };
}

/** The pace of the load; nothing is waited for. */
function pause(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}
