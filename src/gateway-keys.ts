/** Who may send, as configured: a store of keys with all that stands before it, or the next hop. */
import {
  type Auth,
  createAuth,
  createKeyLimits,
  createPassthroughAuth,
  type KeyLimits,
  openStore,
} from './auth/auth.ts';
import type { Config } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Observability } from './observability/observability.ts';

export type GatewayKeys = {
  /** Closes all the rest, too. */
  readonly auth: Auth;
  readonly limits: KeyLimits | undefined;
};

type Base = {
  readonly config: Config;
  readonly clock: Clock;
  readonly observability: Observability;
};

export async function openKeys(base: Base): Promise<GatewayKeys> {
  return base.config.auth.mode === 'passthrough' ? passthroughKeys(base) : storedKeys(base);
}

function passthroughKeys({ config, clock }: Base): GatewayKeys {
  const { header, passthrough } = config.auth;
  return {
    auth: createPassthroughAuth({
      apiKey: passthrough.api_key,
      platformId: passthrough.platform_id,
      onClientKey: passthrough.on_client_key,
      apiKeyHeader: header,
    }),
    // One key, as far as this gateway knows: the limits are those of the sidecar.
    limits: keyLimits({ config, clock }),
  };
}

async function storedKeys({ config, clock, observability }: Base): Promise<GatewayKeys> {
  const { store } = await openStore({ place: config.auth.store, clock });
  return {
    auth: createAuth({
      lookup: store.lookup,
      store,
      clock,
      observability,
      apiKeyHeader: config.auth.header,
      unknownKeyFailuresPerMinute: config.limits.unknown_key_failures_per_minute_per_ip,
    }),
    limits: keyLimits({ config, clock }),
  };
}

function keyLimits({ config, clock }: Pick<Base, 'config' | 'clock'>): KeyLimits | undefined {
  const { per_key: limits } = config.limits;
  return createKeyLimits({
    limits: {
      requestsPerSecond: limits.requests_per_second,
      spansPerSecond: limits.spans_per_second,
      bytesPerSecond: limits.bytes_per_second,
    },
    shared: undefined,
    clock,
  });
}
