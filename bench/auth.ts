/**
 * What the check of a key costs a request whose key is known: `authenticate` and `again`, with a
 * lookup in memory, without and with limits of the key, against hashing the key alone. Interleaved,
 * so that a slow moment of the machine hits all.
 */
import {
  type Authenticated,
  createAuth,
  createKeyLimits,
  type Grant,
  type KeyLimits,
} from '../src/auth/auth.ts';
import { generateKey, hashKey } from '../src/auth/key-format.ts';
import { systemClock } from '../src/core/clock.ts';
import { createObservability } from '../src/observability/observability.ts';
import { serveCalls } from './child.ts';
import { median } from './statistics.ts';

/** Medians of CPU microseconds per request. */
export type AuthResult = {
  readonly hashMicros: number;
  readonly authMicros: number;
  readonly limitedMicros: number;
};

export type AuthCalls = { measure(options: { rounds: number }): AuthResult };

const keysMax = 1000;
const callsPerRound = 50_000;
const warmupRounds = 5;
const peer = '192.0.2.1';
const noLimit = 1e12;

serveCalls<AuthCalls>({
  measure({ rounds }) {
    const keys = Array.from({ length: keysMax }, generateKey);
    const heads = keys.map((key) => ({ apiKey: [key], authorization: [] }));
    const auth = authOf(keys);
    const limits = createKeyLimits({
      limits: {
        requestsPerSecond: noLimit,
        spansPerSecond: noLimit,
        bytesPerSecond: noLimit,
      },
      shared: undefined,
      clock: systemClock,
    }) as KeyLimits;

    function check(index: number): string {
      const head = heads[index % keysMax] as (typeof heads)[number];
      const { again } = auth.authenticate(head, peer) as Authenticated;
      return (again() as Grant['tenant']).keyId;
    }
    const runs = {
      hashMicros: (index: number) => hashKey(keys[index % keysMax] as string),
      authMicros: check,
      limitedMicros(index: number) {
        const keyId = check(index);
        limits.admit(keyId);
        limits.charge(keyId, { spans: 512, bytes: 250_000 });
        return keyId;
      },
    };
    const micros: Record<keyof AuthResult, number[]> = {
      hashMicros: [],
      authMicros: [],
      limitedMicros: [],
    };
    for (let round = -warmupRounds; round < rounds; round += 1) {
      for (const name of Object.keys(runs) as (keyof AuthResult)[]) {
        const took = cpuMicros(runs[name]);
        if (round >= 0) micros[name].push(took);
      }
    }
    return {
      hashMicros: median(micros.hashMicros),
      authMicros: median(micros.authMicros),
      limitedMicros: median(micros.limitedMicros),
    };
  },
});

function authOf(keys: readonly string[]) {
  const grants = new Map<string, Grant>(
    keys.map((key, index) => [
      hashKey(key),
      {
        tenant: {
          projectId: 'prj_1',
          keyId: `key_${index}`,
          keyName: 'bench',
          scope: 'project',
          agents: new Map(),
        },
        expiresAtMs: undefined,
      },
    ]),
  );
  return createAuth({
    lookup: (hash) => grants.get(hash),
    store: { recordUsage: async () => {}, close: async () => {} },
    clock: systemClock,
    observability: createObservability({ level: 'error' }),
    apiKeyHeader: 'x-api-key',
    unknownKeyFailuresPerMinute: 60,
  });
}

/** Per call. What each call returns is used, so that none can be left out. */
function cpuMicros(run: (index: number) => string): number {
  let length = 0;
  const before = process.cpuUsage();
  for (let call = 0; call < callsPerRound; call += 1) length += run(call).length;
  const { user, system } = process.cpuUsage(before);
  if (length < callsPerRound) throw new Error('a call returned nothing');
  return (user + system) / callsPerRound;
}
