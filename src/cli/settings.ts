/** The options that say which configuration a command works with. */
import type { Command } from 'commander';
import { type OpenStoreOptions, openStore, type Store } from '../auth/auth.ts';
import { type Config, findConfigFiles, loadConfig, redisInUse } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import type { GivenOption } from './command-line.ts';
import { type Io, say } from './io.ts';
import { Refusal } from './refusal.ts';

export type SettingsOptions = { readonly config?: string[]; readonly set?: string[] };

/** As they were given. */
export function givenSettings({ config = [], set = [] }: SettingsOptions): GivenOption[] {
  return [
    ...config.map((file) => ['--config', file] as const),
    ...set.map((setting) => ['--set', setting] as const),
  ];
}

/** Gathers the values of an option that may be repeated. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

export function addSettings(command: Command): Command {
  return command
    .option(
      '--config <file>',
      'configuration, repeatable, the later wins (default: ./config/gateway.yaml, $MIBO_CONFIG)',
      collect,
    )
    .option('--set <name=value>', 'one setting, as in a.b=c; repeatable', collect);
}

/** Throws `ConfigError` with all problems. */
export function loadSettings(io: Io, options: SettingsOptions): Config {
  return loadConfig({
    files: findConfigFiles(options.config ?? [], { env: io.env }),
    sets: options.set ?? [],
    env: io.env,
  });
}

/** Where the registry is kept that a command works with. */
export function storeSettings(io: Io, options: SettingsOptions): OpenStoreOptions {
  const config = loadSettings(io, options);
  const { mode, store } = config.auth;
  if (mode !== 'keys') {
    throw new Refusal(
      `set auth.mode to keys, or manage keys at the next hop: with ${mode} none are kept here`,
    );
  }
  return { place: store, redis: redisInUse(config), clock: systemClock };
}

/**
 * Runs `work` with the configured store and closes it, whatever happens. `place` tells a user who
 * looks in vain that it is another folder's store.
 */
export async function withStore<T>(
  io: Io,
  options: SettingsOptions,
  work: (store: Store, place: string) => Promise<T>,
): Promise<T> {
  const { store, where, close } = await openStore(storeSettings(io, options));
  try {
    return await work(store, where);
  } finally {
    await close();
  }
}

/**
 * The same for a change, which may wait for the gateways: the first signal does not end it, since
 * a new key is printed only once, when all is done.
 */
export async function withChange(
  io: Io,
  options: SettingsOptions,
  work: (store: Store) => Promise<void>,
): Promise<void> {
  await withStore(io, options, async (store) => {
    io.stopRequested().then((name) =>
      say(io, `${name}: ends when the change is done; once more ends now, with its result unseen.`),
    );
    await work(store);
  });
}
