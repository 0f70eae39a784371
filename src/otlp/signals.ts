/** The signal table: the only place that names the wire facts of traces, metrics and logs. */

export type SignalName = 'traces' | 'metrics' | 'logs';

export type Signal = {
  readonly name: SignalName;
  /** The path of OTLP/HTTP. */
  readonly httpPath: string;
  readonly grpcService: string;
  /** The `:path` of the service's Export method. */
  readonly grpcPath: string;
  /** What one item is called, in the singular. */
  readonly itemWord: string;
  /** How a sender turns this signal off; begins a hint. */
  readonly cure: string;
};

function signal(name: SignalName, service: string, itemWord: string): Signal {
  const grpcService = `opentelemetry.proto.collector.${service}`;
  return {
    name,
    httpPath: `/v1/${name}`,
    grpcService,
    grpcPath: `/${grpcService}/Export`,
    itemWord,
    cure: `set OTEL_${name.toUpperCase()}_EXPORTER=none`,
  };
}

export const signals: Readonly<Record<SignalName, Signal>> = {
  traces: signal('traces', 'trace.v1.TraceService', 'span'),
  metrics: signal('metrics', 'metrics.v1.MetricsService', 'data point'),
  logs: signal('logs', 'logs.v1.LogsService', 'log record'),
};
