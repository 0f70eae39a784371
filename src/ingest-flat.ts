/**
 * The journey of a flat body of Your API, after the key was accepted and the body read: one target
 * for the whole body, the agent's id written wherever the body names one, and the downstream's own
 * answer for the client, who waits for it.
 */
import type { Delivery } from './core/delivery.ts';
import { GatewayError } from './core/errors.ts';
import type { TracesApiResult } from './core/incoming.ts';
import type { Admitted, IngestOptions, Origin } from './ingest.ts';
import { nameAgent } from './routing/routing.ts';

type Fields = Readonly<Record<string, unknown>>;
export type FlatBody = Fields & { readonly spans: readonly Fields[] };

type ReadFlat = {
  readonly flat: FlatBody;
  readonly origin: Origin;
  /** Of the body as it came. */
  readonly inflatedBytes: number;
};

export async function relayFlat(
  options: IngestOptions,
  admitted: Admitted,
  { flat, origin, inflatedBytes }: ReadFlat,
): Promise<TracesApiResult> {
  const { metrics, refusals } = options.observability;
  const items = flat.spans.length;
  try {
    if (options.limits !== undefined) {
      const cost = { spans: items, bytes: inflatedBytes };
      await options.limits.charge(admitted.tenant.keyId, cost);
    }
    const target = options.routing.routeFlat({
      tenant: admitted.tenant,
      header: admitted.request.platformHeader,
      body: flat,
    });
    if (target.warning !== undefined) refusals.overruled(1, target.warning, admitted);
    const named = nameAgent(flat, target.agentId, options.attribute);
    const bytes = Buffer.from(JSON.stringify(named));
    const delivery: Delivery = {
      ...origin,
      agentId: target.agentId,
      signal: 'traces_api',
      encoding: 'json',
      compression: 'identity',
      items,
      body: [bytes],
      bodyBytes: bytes.length,
    };
    const answer = await options.relay(delivery, admitted.request.deadlineAtMs);
    if (answer.status < 300) metrics.items('accepted', items);
    else metrics.items('rejected', items, 'refused_downstream');
    return { kind: 'relayed', ...answer, warning: target.warning };
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    metrics.items('rejected', items, error.kind);
    throw error;
  }
}

/** Flat spans: `spans` at the top level, and no envelope beside them. Throws on an odd mixture. */
export function isFlat(parsed: unknown): parsed is FlatBody {
  if (!isObject(parsed) || !('spans' in parsed)) return false;
  if (hasEnvelope(parsed)) {
    throw invalid('spans', 'send "spans" or "resourceSpans", not both in one body');
  }
  if (!Array.isArray(parsed.spans)) throw invalid('spans', 'make "spans" an array of spans');
  const odd = parsed.spans.findIndex((span) => !isObject(span));
  if (odd >= 0) throw invalid(`spans.${odd}`, `make spans[${odd}] an object with span_id and name`);
  return true;
}

/** The parsed body if it is an OTLP envelope. Throws otherwise. */
export function envelopeOf(parsed: unknown): unknown {
  if (isObject(parsed) && hasEnvelope(parsed)) return parsed;
  throw invalid('spans', 'send {"spans": [...]}, or an OTLP envelope with "resourceSpans"');
}

function hasEnvelope(parsed: Fields): boolean {
  return 'resourceSpans' in parsed || 'resource_spans' in parsed;
}

function invalid(path: string, hint: string): GatewayError {
  return new GatewayError('malformed', hint, {
    details: [{ location: 'body', msg: hint, path, type: 'field' }],
  });
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
