/**
 * How many keys that are in no cache may be looked up at once. Garbage is all of that kind, so the
 * bound keeps it from taking the store's connections away from keys that are known here: those do
 * not pass here at all.
 *
 * A short line forms where there is no place, so that a gateway that has just started serves all
 * its keys; whoever finds the line full, or has stood in it too long, is told to come back. That is
 * `overloaded` and not `store_unavailable`: the store is well, this gateway spares it. Clients from
 * an address that sends many unknown keys have a few of the places, and no line.
 */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';

export type ReadPlaces = {
  /** Resolves with how to give the place back; rejects with `overloaded` or `rate_limited`. */
  take(isSuspect: boolean): Promise<() => void>;
  readonly refused: number;
};

export type ReadPlacesOptions = {
  readonly clock: Clock;
  readonly placesMax: number;
  /** Of the places. */
  readonly suspectPlacesMax: number;
  readonly lineMax: number;
  /** Looked at when a turn comes: each place is free again within a read's deadline. */
  readonly waitMsMax: number;
};

type Waiter = { readonly sinceMs: number; readonly call: (place: 'free' | 'too late') => void };

export function createReadPlaces(options: ReadPlacesOptions): ReadPlaces {
  const { clock, placesMax, suspectPlacesMax, lineMax, waitMsMax } = options;
  const line = new Set<Waiter>();
  let taken = 0;
  let takenBySuspects = 0;
  let refused = 0;

  function give(): void {
    for (const waiter of line) {
      line.delete(waiter);
      const isInTime = clock.monotonicMs() - waiter.sinceMs < waitMsMax;
      waiter.call(isInTime ? 'free' : 'too late');
      if (isInTime) return;
    }
    taken -= 1;
  }

  function takeAsSuspect(): () => void {
    if (takenBySuspects >= suspectPlacesMax || taken >= placesMax) {
      refused += 1;
      throw new GatewayError(
        'rate_limited',
        'check the API key: too many unknown ones came from this address',
      );
    }
    taken += 1;
    takenBySuspects += 1;
    return () => {
      takenBySuspects -= 1;
      give();
    };
  }

  function busy(): GatewayError {
    refused += 1;
    return new GatewayError(
      'overloaded',
      'send it again shortly: too many API keys that are new here are being looked up',
    );
  }

  function stand(): Promise<() => void> {
    return new Promise((resolve, reject) => {
      line.add({
        sinceMs: clock.monotonicMs(),
        call: (place) => (place === 'free' ? resolve(give) : reject(busy())),
      });
    });
  }

  return {
    async take(isSuspect) {
      if (isSuspect) return takeAsSuspect();
      if (taken >= placesMax) {
        if (line.size >= lineMax) throw busy();
        return stand();
      }
      taken += 1;
      return give;
    },
    get refused() {
      return refused;
    },
  };
}
