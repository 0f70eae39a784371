/**
 * Refused requests: each is counted, and each kind of refusal of each key is logged at most once
 * per ten seconds, with the number of those in between. A broken client cannot flood the log.
 */
import type { GatewayError } from '../core/errors.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

export type Refusals = {
  record(error: GatewayError, request: { protocol: 'grpc' | 'http'; peer: string }): void;
};

const quietMs = 10_000;
/** Bounds the memory that senders can make us use; the oldest entry goes first. */
const entriesMax = 1_000;

type Entry = { loggedAtMs: number; suppressed: number };

export function createRefusals(log: Log, metrics: Metrics): Refusals {
  const recent = new Map<string, Entry>();

  function entryOf(name: string, nowMs: number): Entry | undefined {
    const entry = recent.get(name);
    if (entry !== undefined && nowMs - entry.loggedAtMs < quietMs) {
      entry.suppressed += 1;
      return undefined;
    }
    recent.delete(name);
    const oldest = recent.keys().next().value;
    if (recent.size >= entriesMax && oldest !== undefined) recent.delete(oldest);
    recent.set(name, { loggedAtMs: nowMs, suppressed: 0 });
    return entry ?? { loggedAtMs: nowMs, suppressed: 0 };
  }

  return {
    record(error, request) {
      metrics.request(request.protocol, error.kind);
      const entry = entryOf(`${error.kind} ${error.keyId ?? request.peer}`, performance.now());
      if (entry === undefined) return;
      const fields = {
        kind: error.kind,
        protocol: request.protocol,
        peer: request.peer,
        key_id: error.keyId,
        hint: error.hint,
        suppressed: entry.suppressed,
        ...(error.kind === 'internal' ? { err: error.cause } : {}),
      };
      if (error.kind === 'internal') log.error(fields, 'request refused');
      else log.warn(fields, 'request refused');
    },
  };
}
