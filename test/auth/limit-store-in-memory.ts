/** Buckets that several gateways of a test share, in its own time; what is asked can be held. */
import type { Leased, LimitStore, Want } from '../../src/auth/limits-lease.ts';
import type { ManualClock } from './manual-clock.ts';

export type LimitStoreInMemory = LimitStore & {
  readonly asked: (readonly Want[])[];
  /** Whether questions are answered at all. */
  isUp: boolean;
  /** Keeps answers back until it is called again with false. */
  hold(held: boolean): void;
};

export function createLimitStoreInMemory(clock: ManualClock): LimitStoreInMemory {
  const fullAtMs = new Map<string, number>();
  const asked: (readonly Want[])[] = [];
  let gate: PromiseWithResolvers<void> | undefined;

  function answer(keyId: string, wants: readonly Want[]): Leased {
    const nowMs = clock.monotonicMs();
    const fullInMs = wants.map(({ limit }) =>
      Math.max(0, (fullAtMs.get(`${keyId} ${limit.name}`) ?? 0) - nowMs),
    );
    const granted = wants.every(
      ({ need }, index) => need === undefined || (fullInMs[index] ?? 0) < 999.999,
    );
    if (!granted) return { granted, extras: wants.map(() => 0), fullInMs };
    const extras = wants.map(({ limit, need = 0, extra }, index) => {
      const left = limit.perSecond * (1 - (fullInMs[index] ?? 0) / 1000) - need;
      const given = Math.max(0, Math.min(extra, Math.floor(left + 1e-6)));
      fullInMs[index] = (fullInMs[index] ?? 0) + ((need + given) * 1000) / limit.perSecond;
      fullAtMs.set(`${keyId} ${limit.name}`, nowMs + (fullInMs[index] ?? 0));
      return given;
    });
    return { granted, extras, fullInMs };
  }

  const store: LimitStoreInMemory = {
    asked,
    isUp: true,
    hold(held) {
      gate?.resolve();
      gate = held ? Promise.withResolvers() : undefined;
    },
    async lease(keyId, wants) {
      asked.push(wants);
      await gate?.promise;
      return store.isUp ? answer(keyId, wants) : undefined;
    },
  };
  return store;
}
