/**
 * Steady traffic of many keys at many gateways, as its own process: so many requests a second
 * together, half over gRPC and half over HTTP/1.1, with a record of each request. A request that is
 * due while its connection still waits for an answer is left out, and counted.
 */
import { serveCalls } from './child.ts';
import { openGrpcConnection } from './grpc-connection.ts';
import { grpcOptionsOf } from './grpc-load.ts';
import { httpRequestsOf, openHttpLane } from './http-load.ts';
import type { Feeder, RequestForm, SentRequest } from './load-client.ts';
import { makePayloads } from './payloads.ts';

export type SteadyLoad = {
  readonly gateways: readonly { readonly grpcPort: number; readonly httpPort: number }[];
  readonly apiKeys: readonly string[];
  /** All gateways, keys and protocols together. */
  readonly requestsPerSecond: number;
};

export type Recorded = {
  /** Index of the key. */
  readonly key: number;
  /** Unix milliseconds with fractions. */
  readonly startedAtMs: number;
  readonly answeredAtMs: number;
  /** `200`, `grpc 0`, or what else came. */
  readonly status: string;
  readonly accepted: boolean;
};

export type SteadyCalls = {
  /** Opens a connection for each gateway, key and protocol, and begins. */
  start(load: SteadyLoad): Promise<void>;
  /** Resolves once each request is answered. */
  stop(): Promise<{ readonly requests: readonly Recorded[]; readonly leftOut: number }>;
};

const body = { spans: 1, encoding: 'proto', compression: 'identity', named: true } as const;
const tickMs = 2;

type Connection = {
  /** One request, and what comes of it. */
  send(feeder: Feeder): void;
  readonly ended: boolean;
  close(): void;
};

/** One key at one door of one gateway: a connection with one request under way at most. */
class Lane implements Feeder {
  underWay = false;
  private due = false;
  private connection: Connection | undefined;
  private readonly key: number;
  private readonly connect: () => Promise<Connection>;
  private readonly requests: Recorded[];

  constructor(key: number, connect: () => Promise<Connection>, requests: Recorded[]) {
    this.key = key;
    this.connect = connect;
    this.requests = requests;
  }

  async open(): Promise<void> {
    this.connection = undefined;
    this.connection = await this.connect();
  }

  /** Whether a request was begun. */
  begin(): boolean {
    if (this.underWay || this.connection === undefined) return false;
    if (this.connection.ended) {
      // The gateway ends connections of a certain age; clients open another one.
      void this.open();
      return false;
    }
    this.due = true;
    this.connection.send(this);
    return true;
  }

  close(): void {
    this.connection?.close();
  }

  next(): number | undefined {
    if (!this.due) return undefined;
    this.due = false;
    this.underWay = true;
    return 0;
  }

  answered(status: string, accepted: boolean, { sentAtMs }: SentRequest): void {
    this.underWay = false;
    this.requests.push({
      key: this.key,
      startedAtMs: performance.timeOrigin + sentAtMs,
      answeredAtMs: performance.timeOrigin + performance.now(),
      status,
      accepted,
    });
  }
}

function lanesOf(load: SteadyLoad, requests: Recorded[]): Lane[] {
  const payloads = makePayloads(body).slice(0, 1);
  const form = { compression: 'identity', contentType: 'application/x-protobuf' } as const;
  return load.gateways.flatMap(({ grpcPort, httpPort }) =>
    load.apiKeys.flatMap((apiKey, key) => [
      new Lane(key, () => connectHttp({ ...form, payloads, apiKey, port: httpPort }), requests),
      new Lane(key, () => connectGrpc({ ...form, payloads, apiKey, port: grpcPort }), requests),
    ]),
  );
}

async function connectHttp(form: RequestForm): Promise<Connection> {
  const whole = httpRequestsOf(form);
  const lane = await openHttpLane(form.port, (index) => whole[index] as Buffer);
  return {
    send: (feeder) => lane.start(feeder),
    get ended() {
      return lane.ended;
    },
    close: () => lane.close(),
  };
}

async function connectGrpc(form: RequestForm): Promise<Connection> {
  const connection = await openGrpcConnection(grpcOptionsOf(form));
  return {
    send: (feeder) => connection.start(feeder, 1),
    get ended() {
      return connection.ended;
    },
    close: () => connection.close(),
  };
}

let stopLoad: SteadyCalls['stop'] | undefined;

serveCalls<SteadyCalls>({
  async start(load) {
    const requests: Recorded[] = [];
    const lanes = lanesOf(load, requests);
    await Promise.all(lanes.map((lane) => lane.open()));
    const beganAtMs = performance.now();
    let [begun, leftOut] = [0, 0];
    // Each tick begins what is due by the clock, so that a late tick makes up for itself.
    const timer = setInterval(() => {
      const due = ((performance.now() - beganAtMs) / 1000) * load.requestsPerSecond;
      for (; begun < due; begun += 1) {
        if (lanes[begun % lanes.length]?.begin() !== true) leftOut += 1;
      }
    }, tickMs);
    stopLoad = async () => {
      clearInterval(timer);
      while (lanes.some(({ underWay }) => underWay)) {
        await new Promise((resolve) => setTimeout(resolve, tickMs));
      }
      for (const lane of lanes) lane.close();
      return { requests, leftOut };
    };
  },
  async stop() {
    if (stopLoad === undefined) throw new Error('start the load before stopping it');
    return stopLoad();
  },
});
