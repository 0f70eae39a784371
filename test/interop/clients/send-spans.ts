/**
 * An app of a user, with the official SDK and not a word about the gateway: everything comes from
 * the environment. Sends one trace and prints the ids of its spans; what the SDK has to say goes to
 * standard error.
 */
import {
  context,
  DiagConsoleLogger,
  DiagLogLevel,
  diag,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter as GrpcExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResources, envDetector, serviceNameEnvDetector } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const toStderr = (...words: unknown[]) => console.error(...words);
diag.setLogger(
  Object.assign(new DiagConsoleLogger(), { warn: toStderr, info: toStderr }),
  DiagLogLevel.WARN,
);

const exporters = {
  grpc: () => new GrpcExporter(),
  'http/protobuf': () => new ProtoExporter(),
  'http/json': () => new JsonExporter(),
};
const protocol = process.env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf';
const exporter = exporters[protocol as keyof typeof exporters]();
const provider = new TracerProvider({
  resource: detectResources({ detectors: [envDetector, serviceNameEnvDetector] }),
  spanProcessors: [new BatchSpanProcessor({ exporter })],
});
const tracer = provider.getTracer('interop', '1.0.0');

const root = tracer.startSpan('answer the customer', { kind: SpanKind.SERVER });
const inRoot = trace.setSpan(context.active(), root);
const children = ['think', 'look up', 'reply'].map((name, index) => {
  const span = tracer.startSpan(
    name,
    { attributes: { 'gen_ai.usage.input_tokens': index } },
    inRoot,
  );
  span.addEvent('said', { text: 'Grüße 👋' });
  span.end();
  return span;
});
root.end();
await provider.forceFlush().catch(toStderr);
await provider.shutdown();
const ids = [root, ...children].map((span) => span.spanContext());
process.stdout.write(
  `${JSON.stringify(ids.map(({ traceId, spanId }) => ({ traceId, spanId })))}\n`,
);
