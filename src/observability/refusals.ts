/**
 * What senders did wrong: refused requests, and targets that their key's scope overruled. Each is
 * counted, and the same mistake of the same sender is logged at most once per ten seconds, with the
 * number of those in between. A broken client cannot flood the log.
 */
import { type GatewayError, grpcStatus } from '../core/errors.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Rejection, Rejections } from './rejections.ts';

type Sender = { readonly protocol: 'grpc' | 'http'; readonly peer: string };

/** The part of an admitted request that is logged. */
type AdmittedSender = { readonly request: Sender; readonly tenant: { readonly keyId: string } };

export type Refusals = {
  record(error: GatewayError, sender: Sender): void;
  /** A part of an accepted request was refused: only its sender, and whoever asks, is told. */
  partial(error: GatewayError, admitted: AdmittedSender): void;
  /**
   * `count` resources named another agent than their key's, and `warning` says where they went.
   * Exporters in Python and Java show that to nobody.
   */
  overruled(count: number, warning: string, admitted: AdmittedSender): void;
};

const quietMs = 10_000;
/** Bounds the memory that senders can make us use; the oldest entry goes first. */
const entriesMax = 1_000;
/** As much of a hint as tells one mistake from another; what follows may be the sender's text. */
const tellingChars = 40;

/** What the client saw. */
type Answer = Pick<Rejection, 'protocol' | 'status'>;
type Entry = { loggedAtMs: number; suppressed: number };

/** What an HTTP client sees of a request that was accepted in part. */
const httpOk = 200;

export function createRefusals(log: Log, metrics: Metrics, rejections: Rejections): Refusals {
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

  function keep(keyId: string, error: GatewayError, answer: Answer): void {
    const { kind: reason, hint, traceId } = error;
    rejections.record(keyId, { atMs: Date.now(), ...answer, reason, hint, traceId });
  }

  return {
    record(error, request) {
      metrics.request(request.protocol, error.kind);
      if (error.keyId !== undefined) {
        const status = request.protocol === 'grpc' ? error.row.grpc : error.row.http;
        keep(error.keyId, error, { protocol: request.protocol, status });
      }
      const mistake = `${error.kind} ${error.hint.slice(0, tellingChars)}`;
      const entry = entryOf(`${mistake} ${error.keyId ?? request.peer}`, performance.now());
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
    partial(error, { request, tenant }) {
      const status = request.protocol === 'grpc' ? grpcStatus.ok : httpOk;
      keep(tenant.keyId, error, { protocol: request.protocol, status });
    },
    overruled(count, warning, { request: { protocol, peer }, tenant: { keyId } }) {
      if (count === 0) return;
      metrics.scopeConflicts(count);
      const entry = entryOf(`overruled ${keyId}`, performance.now());
      if (entry === undefined) return;
      const fields = { protocol, peer, key_id: keyId, hint: warning, suppressed: entry.suppressed };
      log.warn(fields, 'another agent was named than the one of the key');
    },
  };
}
