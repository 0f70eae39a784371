/** Opens the registry that is configured: the one way for the gateway and for every command. */
import type { Clock } from '../core/clock.ts';
import { openSqliteStore } from './sqlite-store.ts';
import type { Store } from './store.ts';

/** Where the registry is. */
export type StorePlace =
  | { readonly kind: 'sqlite'; readonly path: string }
  | { readonly kind: 'postgres'; readonly url: string };

export type OpenStoreOptions = {
  readonly place: StorePlace;
  readonly clock: Clock;
};

export type OpenedStore = {
  readonly store: Store;
};

export async function openStore({ place, clock }: OpenStoreOptions): Promise<OpenedStore> {
  if (place.kind === 'postgres') throw new Error('not yet');
  return { store: openSqliteStore({ path: place.path, clock }) };
}
