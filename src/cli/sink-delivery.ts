/** What the sink makes of one delivery: its traces in brief, its spans, its body as JSON. */
import { GatewayError } from '../core/errors.ts';
import {
  jsonToProto,
  parseJson,
  protoToJson,
  summarizeTraces,
  type TraceSummary,
} from '../otlp/otlp.ts';

export type SinkSpan = { readonly traceId: string; readonly spanId: string; readonly name: string };
export type SinkTrace = Omit<TraceSummary, 'traceId'>;

export type SinkDelivery = {
  readonly kind: 'otlp' | 'flat';
  /** As it was received; flat spans are always JSON. */
  readonly encoding: 'proto' | 'json';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly traces: readonly SinkTrace[];
  readonly spans: readonly SinkSpan[];
  /** OTLP JSON, or the flat body as it was sent. */
  readonly body: unknown;
};

export type ReceivedBody = Pick<SinkDelivery, 'path' | 'headers'> & {
  /** Inflated. */
  readonly body: Buffer;
  readonly attribute: string;
};

/** Throws `GatewayError` (`malformed`) where the body does not decode. */
export function readDelivery({ path, headers, body, attribute }: ReceivedBody): SinkDelivery {
  const isProto = /protobuf/i.test(headers['content-type'] ?? '');
  const json = isProto ? protoToJson(body) : body;
  const parsed = parseJson(json);
  if (!isProto && isFlat(parsed)) return readFlat({ path, headers, body: parsed });
  const message = isProto ? body : jsonToProto(body);
  return {
    kind: 'otlp',
    encoding: isProto ? 'proto' : 'json',
    path,
    headers,
    traces: summarizeTraces(message, attribute),
    spans: otlpSpans(parsed),
    body: parsed,
  };
}

type Json = Readonly<Record<string, unknown>>;
type FlatBody = Json & { readonly spans: readonly Json[] };

function isFlat(value: unknown): value is FlatBody {
  return isObject(value) && Array.isArray(value.spans) && value.spans.every(isObject);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function otlpSpans(body: unknown): SinkSpan[] {
  return lists(body, 'resourceSpans')
    .flatMap((resource) => lists(resource, 'scopeSpans'))
    .flatMap((scope) => lists(scope, 'spans'))
    .map(({ traceId, spanId, name }) => ({
      traceId: words(traceId),
      spanId: words(spanId),
      name: words(name),
    }));
}

function lists(holder: unknown, name: string): Json[] {
  const list = isObject(holder) ? holder[name] : undefined;
  return Array.isArray(list) ? list.filter(isObject) : [];
}

function words(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function readFlat(
  received: Pick<SinkDelivery, 'path' | 'headers'> & { body: FlatBody },
): SinkDelivery {
  const { path, headers, body } = received;
  if (body.spans.length === 0) throw new GatewayError('malformed', 'send at least one span');
  const root = rootOf(body.spans);
  return {
    kind: 'flat',
    encoding: 'json',
    path,
    headers,
    traces: [
      {
        agentId: headers['x-mibo-platform-id'] ?? words(body.platformId),
        service: '',
        spans: body.spans.length,
        rootName: words(root?.name),
        durationMs: durationOf(body.spans),
      },
    ],
    spans: body.spans.map((span) => ({
      traceId: '',
      spanId: words(span.span_id),
      name: words(span.name),
    })),
    body,
  };
}

/** The span that has no parent in this body. */
function rootOf(spans: readonly Json[]): Json | undefined {
  const ids = new Set(spans.map((span) => span.span_id));
  return spans.find((span) => !ids.has(span.parent_span_id)) ?? spans[0];
}

/** From the earliest start to the latest end; times are Unix nanoseconds, as number or digits. */
function durationOf(spans: readonly Json[]): number | undefined {
  const times = (name: string) =>
    spans.map((span) => nanosOf(span[name])).filter((nanos) => Number.isFinite(nanos));
  const [starts, ends] = [times('start_time_unix_nano'), times('end_time_unix_nano')];
  if (starts.length === 0 || ends.length === 0) return undefined;
  return Math.max(0, (greatest(ends) + greatest(starts.map((nanos) => -nanos))) / 1e6);
}

/** Numbers whose digits a double cannot hold come as raw JSON; a duration may be rounded. */
function nanosOf(value: unknown): number {
  return typeof value === 'object' ? Number(JSON.stringify(value)) : Number(value);
}

function greatest(numbers: readonly number[]): number {
  return numbers.reduce((most, number) => Math.max(most, number));
}
