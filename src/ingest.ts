/**
 * The journey of one export request. Read this first.
 *
 *   authenticate   the key, from the head alone: a refused client costs no body memory
 *   admit          a key that is over its limits is refused before its body is read
 *   readBody       within the limits, inflated
 *   again          the same key once more: one revoked during a slow upload is not accepted
 *   walk           validate the bytes, find the resources, count the spans; nothing is decoded
 *   charge         the spans and bytes that the key may send per second
 *   route          one verdict per resource: its agent, or why not
 *   split, stamp   one delivery per agent; the bytes as received where nothing has to change
 *   deliver        resolves when what `delivery.mode` promises holds
 *   settle         full success, a warning, partial success, or a refusal
 *
 * Promise: every span of a request is accepted or rejected, counted once, and the sender is told.
 * Both protocols and Your API's envelopes take this one path; flat bodies branch off to
 * `ingest-flat.ts` once they are read.
 */
import type { Auth, KeyLimits } from './auth/auth.ts';
import type { Deliver, Delivery, DeliveryOutcome, Relay } from './core/delivery.ts';
import { GatewayError } from './core/errors.ts';
import type { ExportResult, IncomingBody, IncomingRequest, Ingest } from './core/incoming.ts';
import type { Tenant } from './core/tenant.ts';
import { envelopeOf, isFlat, relayFlat } from './ingest-flat.ts';
import type { Observability } from './observability/observability.ts';
import {
  type AgentShare,
  firstTraceId,
  jsonToProto,
  jsonValueToProto,
  parseJson,
  splitByAgent,
  type WalkedExport,
  walkExport,
} from './otlp/otlp.ts';
import type { Routed, Routing } from './routing/routing.ts';

export type IngestOptions = {
  readonly auth: Auth;
  /** Undefined: keys have no limits. */
  readonly limits: KeyLimits | undefined;
  readonly routing: Routing;
  /** The resource attribute that names the target. */
  readonly attribute: string;
  readonly deliver: Deliver;
  readonly relay: Relay;
  readonly wallMs: () => number;
  readonly observability: Observability;
};

/** A request whose key was accepted. */
export type Admitted = { readonly request: IncomingRequest; readonly tenant: Tenant };

export function createIngest(options: IngestOptions): Ingest {
  return {
    exportRequest: (request) =>
      admit(options, request, (admitted, body) =>
        acceptExport(options, admitted, {
          body,
          message: body.encoding === 'json' ? jsonToProto(body.message) : body.message,
        }),
      ),
    tracesApi: (request) =>
      admit(options, request, async (admitted, body) => {
        const parsed = body.encoding === 'json' ? parseJson(body.message) : undefined;
        if (isFlat(parsed)) {
          return relayFlat(options, admitted, {
            flat: parsed,
            origin: originOf(options, admitted, 0),
            inflatedBytes: body.message.length,
          });
        }
        const message = parsed === undefined ? body.message : jsonValueToProto(envelopeOf(parsed));
        const result = await acceptExport(options, admitted, { body, message });
        return { kind: 'export', encoding: body.encoding, result };
      }),
  };
}

/** Checks the key, reads the body, and checks the key again: the body may have taken its time. */
async function admit<T>(
  { auth, limits }: IngestOptions,
  request: IncomingRequest,
  accept: (admitted: Admitted, body: IncomingBody) => Promise<T>,
): Promise<T> {
  const authenticated = await auth.authenticate(request.credentials, request.peer);
  const { keyId } = authenticated.tenant;
  try {
    if (limits !== undefined) {
      request.limitedBy(() => limits.stateOf(keyId));
      await limits.admit(keyId);
    }
    const body = await request.readBody();
    const tenant = await authenticated.again();
    const result = await accept({ request, tenant }, body);
    auth.used(keyId);
    return result;
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    error.keyId ??= keyId;
    throw error;
  }
}

/** `message` is the body as inflated protobuf. */
type ReadExport = { readonly body: IncomingBody; readonly message: Buffer };

async function acceptExport(
  options: IngestOptions,
  admitted: Admitted,
  { body, message }: ReadExport,
): Promise<ExportResult> {
  const { metrics, refusals } = options.observability;
  const { keyId } = admitted.tenant;
  let items = 0;
  try {
    const walked = walkExport(message, options.attribute);
    items = walked.items;
    if (options.limits !== undefined) {
      await options.limits.charge(keyId, { spans: items, bytes: body.message.length });
    }
    const routed = options.routing.routeExport({
      tenant: admitted.tenant,
      header: admitted.request.platformHeader,
      resources: walked.resources,
    });
    const shares = splitByAgent(message, walked, routed.agentOf);
    const outcomes = await options.deliver(
      shares.map((share, index) => deliveryOf(options, admitted, { body, share, index })),
      admitted.request.deadlineAtMs,
    );
    const settled = settle(shares, outcomes, routed);
    refusals.overruled(routed.conflicts, routed.warning, admitted);
    if (settled.refusal !== undefined) {
      settled.refusal.traceId ??= firstTraceId(refusedPart(message, walked, routed));
      refusals.partial(settled.refusal, admitted);
    }
    metrics.items('accepted', items - settled.rejectedItems);
    metrics.items('rejected', routed.rejectedItems, routed.refusal?.kind);
    metrics.items('rejected', settled.rejectedItems - routed.rejectedItems, 'refused_downstream');
    return settled;
  } catch (thrown) {
    const error = GatewayError.from(thrown);
    error.traceId ??= firstTraceId(message);
    metrics.items('rejected', items, error.kind);
    throw error;
  }
}

/** From the first resource that routing refused; the whole if the downstream refused one. */
function refusedPart(message: Buffer, walked: WalkedExport, routed: Routed): Buffer {
  const refused = walked.resources.find((_, index) => routed.agentOf[index] === undefined);
  return refused === undefined ? message : message.subarray(refused.start, refused.end);
}

/** What every delivery of a request carries. */
export type Origin = Omit<
  Delivery,
  'agentId' | 'signal' | 'encoding' | 'compression' | 'items' | 'body' | 'bodyBytes'
>;

/** `index` tells the deliveries of one request apart. */
function originOf(options: IngestOptions, { request, tenant }: Admitted, index: number): Origin {
  return {
    projectId: tenant.projectId,
    keyId: tenant.keyId,
    ...(tenant.forwardKey === undefined ? {} : { forwardKey: tenant.forwardKey }),
    ...(request.requestId === undefined ? {} : { requestId: request.requestId }),
    gatewayRequestId: request.gatewayRequestId,
    idempotencyKey: `${request.gatewayRequestId}-${index}`,
    arrivedAtMs: options.wallMs(),
  };
}

type SharedBody = {
  readonly body: IncomingBody;
  readonly share: AgentShare;
  readonly index: number;
};

function deliveryOf(
  options: IngestOptions,
  admitted: Admitted,
  { body, share, index }: SharedBody,
): Delivery {
  // Nothing to change: the bytes go on as they came, still compressed.
  const asReceived = share.untouched && body.encoding === 'proto';
  return {
    ...originOf(options, admitted, index),
    agentId: share.agentId,
    signal: 'traces',
    encoding: 'proto',
    compression: asReceived ? body.compression : 'identity',
    items: share.items,
    body: asReceived ? [body.received] : share.body,
    bodyBytes: asReceived ? body.received.length : share.bodyBytes,
  };
}

/** `refusal`: the first one, where some items were refused. */
type Settled = ExportResult & { readonly refusal: GatewayError | undefined };

/** What the client is told, from what routing refused and what became of each delivery. */
function settle(
  shares: readonly AgentShare[],
  outcomes: readonly DeliveryOutcome[],
  routed: Routed,
): Settled {
  let { rejectedItems, message } = routed;
  let accepted = 0;
  let refusal: GatewayError | undefined;
  outcomes.forEach((outcome, index) => {
    // Sent again as a whole: what did arrive is repeated rather than anything lost.
    if (outcome.kind === 'retryable') throw outcome.error;
    if (outcome.kind === 'accepted') {
      accepted += 1;
      rejectedItems += outcome.rejectedItems;
      message ||= outcome.message;
      return;
    }
    refusal ??= refusedDownstream(outcome.status, outcome.text);
    rejectedItems += shares[index]?.items ?? 0;
    message ||= refusal.message;
  });
  if (refusal !== undefined && accepted === 0) throw refusal;
  return { rejectedItems, message, refusal: routed.refusal ?? refusal };
}

function refusedDownstream(status: number, text: string): GatewayError {
  return new GatewayError(
    'refused_downstream',
    `correct what the ingestion service refused (${status}): ${text}`,
  );
}
