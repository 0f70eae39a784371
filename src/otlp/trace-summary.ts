/** What a person wants to see of an export at a glance; decodes, so not for the hot path. */
import { type JsonMessage, readExport } from './proto-to-json.ts';

export type TraceSummary = {
  /** Hex. */
  readonly traceId: string;
  /** What the resource attribute names; empty if it is absent. */
  readonly agentId: string;
  /** The resource's `service.name`. */
  readonly service: string;
  readonly spans: number;
  /** The name of the root span; of the earliest span where the root is not in this export. */
  readonly rootName: string;
  /** From the first start to the last end; undefined where no span tells. */
  readonly durationMs: number | undefined;
};

type Span = {
  readonly traceId: string;
  readonly name: string;
  readonly isRoot: boolean;
  readonly start: bigint;
  readonly end: bigint;
  readonly agentId: string;
  readonly service: string;
};

/** One summary per trace, in order of appearance. Throws `GatewayError('malformed')`. */
export function summarizeTraces(message: Buffer, attribute: string): TraceSummary[] {
  const spans = readSpans(readExport(message), attribute);
  const byTrace = Map.groupBy(spans, ({ traceId }) => traceId);
  return [...byTrace].map(([traceId, members]) => {
    const byStart = members.toSorted((left, right) => compare(left.start, right.start));
    const [earliest] = byStart;
    const root = byStart.find(({ isRoot }) => isRoot) ?? earliest;
    return {
      traceId,
      agentId: root?.agentId ?? '',
      service: root?.service ?? '',
      spans: members.length,
      rootName: root?.name ?? '',
      durationMs: durationOf(members),
    };
  });
}

/** 0 stands for a time that is not known (opentelemetry-proto, trace.proto). */
function durationOf(spans: readonly Span[]): number | undefined {
  const known = (times: readonly bigint[]) => times.filter((time) => time > 0n).toSorted(compare);
  const first = known(spans.map(({ start }) => start)).at(0);
  const last = known(spans.map(({ end }) => end)).at(-1);
  if (first === undefined || last === undefined) return undefined;
  return last > first ? Number(last - first) / 1e6 : 0;
}

function compare(left: bigint, right: bigint): number {
  return left < right ? -1 : Number(left > right);
}

function readSpans(request: JsonMessage, attribute: string): Span[] {
  return list(request, 'resourceSpans').flatMap((resourceSpans) => {
    const resource = (resourceSpans.resource ?? {}) as JsonMessage;
    const agentId = textAttribute(resource, attribute);
    const service = textAttribute(resource, 'service.name');
    return list(resourceSpans, 'scopeSpans')
      .flatMap((scope) => list(scope, 'spans'))
      .map((span) => ({
        traceId: text(span, 'traceId'),
        name: text(span, 'name'),
        isRoot: text(span, 'parentSpanId') === '',
        start: BigInt(text(span, 'startTimeUnixNano')),
        end: BigInt(text(span, 'endTimeUnixNano')),
        agentId,
        service,
      }));
  });
}

function list(message: JsonMessage, name: string): JsonMessage[] {
  return (message[name] ?? []) as JsonMessage[];
}

function text(message: JsonMessage, name: string): string {
  const value = message[name];
  return typeof value === 'string' ? value : '';
}

function textAttribute(resource: JsonMessage, key: string): string {
  const entry = list(resource, 'attributes').findLast((attribute) => attribute.key === key);
  return entry ? text((entry.value ?? {}) as JsonMessage, 'stringValue') : '';
}
