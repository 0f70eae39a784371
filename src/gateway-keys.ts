/** Who may send, as configured: a store of keys with all that stands before it, or the next hop. */
import { type Auth, createAuth, createPassthroughAuth, openStore } from './auth/auth.ts';
import type { Config } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Observability } from './observability/observability.ts';

export type GatewayKeys = {
  /** Closes all the rest, too. */
  readonly auth: Auth;
};

type Base = {
  readonly config: Config;
  readonly clock: Clock;
  readonly observability: Observability;
};

export async function openKeys(base: Base): Promise<GatewayKeys> {
  return base.config.auth.mode === 'passthrough' ? passthroughKeys(base) : storedKeys(base);
}

function passthroughKeys({ config }: Base): GatewayKeys {
  const { header, passthrough } = config.auth;
  return {
    auth: createPassthroughAuth({
      apiKey: passthrough.api_key,
      platformId: passthrough.platform_id,
      onClientKey: passthrough.on_client_key,
      apiKeyHeader: header,
    }),
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
    }),
  };
}
