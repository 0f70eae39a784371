/**
 * Steady traffic of many keys at many gateways, as its own process: so many requests a second
 * together, half over gRPC and half over HTTP/1.1, with a record of each request. A request that is
 * due while its connection still waits for an answer is left out, and counted.
 */
import { serveCalls } from './child.ts';
import { openGrpcConnection } from './grpc-connection.ts';
import { grpcOptionsOf } from './grpc-load.ts';
import { httpRequestsOf, openHttpLane } from './http-load.ts';
import type { Feeder, SentRequest } from './load-client.ts';
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

class Lane implements Feeder {
  underWay = false;
  send: () => void = () => {};
  close: () => void = () => {};
  private due = false;
  private readonly key: number;
  private readonly requests: Recorded[];

  constructor(key: number, requests: Recorded[]) {
    this.key = key;
    this.requests = requests;
  }

  begin(): void {
    this.due = true;
    this.send();
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

async function openLanes(load: SteadyLoad, requests: Recorded[]): Promise<Lane[]> {
  const payloads = makePayloads(body).slice(0, 1);
  const form = { compression: 'identity', contentType: 'application/x-protobuf' } as const;
  const opening = load.gateways.flatMap(({ grpcPort, httpPort }) =>
    load.apiKeys.flatMap((apiKey, key) => [
      async () => {
        const lane = new Lane(key, requests);
        const whole = httpRequestsOf({ ...form, payloads, apiKey, port: httpPort });
        const connection = await openHttpLane(httpPort, (index) => whole[index] as Buffer);
        lane.send = () => connection.start(lane);
        lane.close = () => connection.close();
        return lane;
      },
      async () => {
        const lane = new Lane(key, requests);
        const options = grpcOptionsOf({ ...form, payloads, apiKey, port: grpcPort });
        const connection = await openGrpcConnection(options);
        lane.send = () => connection.start(lane, 1);
        lane.close = () => connection.close();
        return lane;
      },
    ]),
  );
  return Promise.all(opening.map((open) => open()));
}

let stopLoad: SteadyCalls['stop'] | undefined;

serveCalls<SteadyCalls>({
  async start(load) {
    const requests: Recorded[] = [];
    const lanes = await openLanes(load, requests);
    const beganAtMs = performance.now();
    let [begun, leftOut] = [0, 0];
    // Each tick begins what is due by the clock, so that a late tick makes up for itself.
    const timer = setInterval(() => {
      const due = ((performance.now() - beganAtMs) / 1000) * load.requestsPerSecond;
      for (; begun < due; begun += 1) {
        const lane = lanes[begun % lanes.length] as Lane;
        if (lane.underWay) leftOut += 1;
        else lane.begin();
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
