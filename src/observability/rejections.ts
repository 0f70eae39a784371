/**
 * The last refused requests of each key, in memory, for whoever asks why their spans do not arrive.
 *
 * Bounded: 20 per key, of the 1,000 keys that were refused last. The same refusal again is counted,
 * so that one broken exporter does not push out everything else.
 */
import type { ErrorKind } from '../core/errors.ts';

export type Rejection = {
  /** Unix milliseconds; of the last one, where several were the same. */
  readonly atMs: number;
  readonly protocol: 'grpc' | 'http';
  /** As the client saw it: a gRPC or an HTTP status; of a success where only a part was refused. */
  readonly status: number;
  readonly reason: ErrorKind;
  readonly hint: string;
  /** Hex; of the first span that was refused, where the body was read. */
  readonly traceId: string | undefined;
  /** How many in a row were the same. */
  readonly count: number;
};

export type Rejections = {
  record(keyId: string, rejection: Omit<Rejection, 'count'>): void;
  /** Newest first. */
  of(keyId: string): readonly Rejection[];
};

const perKeyMax = 20;
const keysMax = 1_000;

export function createRejections(): Rejections {
  /** In the order of their last refusal; the refusals of a key oldest first. */
  const byKey = new Map<string, Rejection[]>();
  return {
    record(keyId, rejection) {
      const kept = byKey.get(keyId) ?? [];
      byKey.delete(keyId);
      byKey.set(keyId, kept);
      const oldest = byKey.keys().next().value;
      if (byKey.size > keysMax && oldest !== undefined) byKey.delete(oldest);
      const last = kept.at(-1);
      const again = last !== undefined && isSame(last, rejection);
      if (again) kept.pop();
      kept.push({ ...rejection, count: again ? last.count + 1 : 1 });
      if (kept.length > perKeyMax) kept.shift();
    },
    of: (keyId) => (byKey.get(keyId) ?? []).toReversed(),
  };
}

function isSame(one: Omit<Rejection, 'count'>, other: Omit<Rejection, 'count'>): boolean {
  return (
    one.reason === other.reason &&
    one.hint === other.hint &&
    one.status === other.status &&
    one.protocol === other.protocol
  );
}
