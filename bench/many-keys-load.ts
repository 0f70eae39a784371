/**
 * Requests of many keys at one gateway, each with a key of its own, as fast as the gateway answers
 * on a few connections; as its own process.
 */
import { randomBytes } from 'node:crypto';
import { benchKey } from './bench-keys.ts';
import { serveCalls } from './child.ts';
import { httpRequestsOf, openHttpLane } from './http-load.ts';
import type { Feeder, SentRequest } from './load-client.ts';
import { makePayloads } from './payloads.ts';
import { quantile } from './quantile.ts';

export type ManyKeys = {
  readonly port: number;
  readonly requests: number;
  readonly connections: number;
  /** `random`: keys that do not exist. Else request n has key `first + n % keys` of `benchKey`. */
  readonly keys: 'random' | { readonly first: number; readonly count: number };
};

export type ManyKeysResult = {
  readonly statuses: Readonly<Record<string, number>>;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

export type ManyKeysCalls = { run(load: ManyKeys): Promise<ManyKeysResult> };

const body = { spans: 1, encoding: 'proto', compression: 'identity', named: true } as const;

async function run(load: ManyKeys): Promise<ManyKeysResult> {
  const form = {
    port: load.port,
    contentType: 'application/x-protobuf',
    compression: 'identity',
    payloads: makePayloads(body).slice(0, 1),
  } as const;
  const requestOf = (index: number): Buffer => {
    const { keys } = load;
    const apiKey =
      keys === 'random'
        ? `mibo_${randomBytes(19).toString('hex')}`
        : benchKey(keys.first + (index % keys.count));
    return httpRequestsOf({ ...form, apiKey })[0] as Buffer;
  };
  const statuses: Record<string, number> = {};
  const latenciesMs: number[] = [];
  let [begun, answered] = [0, 0];
  let settle = () => {};
  const done = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const feeder: Feeder = {
    next: () => (begun < load.requests ? begun++ : undefined),
    answered(status: string, _success: boolean, { sentAtMs }: SentRequest) {
      statuses[status] = (statuses[status] ?? 0) + 1;
      latenciesMs.push(performance.now() - sentAtMs);
      answered += 1;
      if (answered === load.requests) settle();
    },
  };
  const lanes = await Promise.all(
    Array.from({ length: load.connections }, () => openHttpLane(load.port, requestOf)),
  );
  const beganAtMs = performance.now();
  for (const lane of lanes) lane.start(feeder);
  await done;
  for (const lane of lanes) lane.close();
  return {
    statuses,
    requestsPerSecond: answered / ((performance.now() - beganAtMs) / 1000),
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
}

serveCalls<ManyKeysCalls>({ run });
