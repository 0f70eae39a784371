/**
 * Keys that the primary said do not exist: few, for a short time, apart from the keys that do, so
 * that no amount of garbage pushes out a key that works.
 */
import type { Clock } from '../core/clock.ts';

export type UnknownKeys = {
  has(hash: string): boolean;
  /** `version`: of the registry in which it did not exist. */
  put(hash: string, version: number): void;
  /** It changed: it may have been created. */
  drop(hash: string, version: number): void;
  clear(): void;
  readonly size: number;
};

export type UnknownKeysOptions = {
  readonly clock: Clock;
  readonly keysMax: number;
  readonly ttlMs: number;
};

type Unknown = { readonly version: number; readonly freshUntilMs: number };

export function createUnknownKeys({ clock, keysMax, ttlMs }: UnknownKeysOptions): UnknownKeys {
  /** The least recently used first. */
  const keys = new Map<string, Unknown>();

  return {
    has(hash) {
      const unknown = keys.get(hash);
      if (unknown === undefined) return false;
      keys.delete(hash);
      if (unknown.freshUntilMs <= clock.monotonicMs()) return false;
      keys.set(hash, unknown);
      return true;
    },
    put(hash, version) {
      keys.delete(hash);
      const [oldest] = keys.size >= keysMax ? keys.keys() : [];
      if (oldest !== undefined) keys.delete(oldest);
      keys.set(hash, { version, freshUntilMs: clock.monotonicMs() + ttlMs });
    },
    drop(hash, version) {
      const unknown = keys.get(hash);
      if (unknown !== undefined && unknown.version < version) keys.delete(hash);
    },
    clear: () => keys.clear(),
    get size() {
      return keys.size;
    },
  };
}
