/**
 * Which door an HTTP path means. Mis-built paths are served in place and never redirected: some
 * exporters take any 3xx as success and drop the spans.
 */
import { GatewayError } from '../core/errors.ts';
import { signals } from '../otlp/otlp.ts';

export type Route =
  | { readonly door: 'export' | 'traces_api' | 'health' }
  | { readonly door: 'nowhere'; readonly refusal: () => GatewayError };

export type RouteOf = (url: string) => Route;

const exportRoute: Route = { door: 'export' };
const nowhere: Route = { door: 'nowhere', refusal: nothingHere };
const { traces } = signals;

export function createRoutes(tracesApi: { enabled: boolean; path: string }): RouteOf {
  const routes = new Map<string, Route>([
    [traces.httpPath, exportRoute],
    // An endpoint that names the path already, to which an SDK adds it once more.
    [traces.httpPath + traces.httpPath, exportRoute],
    // All SDKs post here when OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has no path.
    ['/', exportRoute],
    ['/health', { door: 'health' }],
  ]);
  for (const signal of [signals.metrics, signals.logs]) {
    const elsewhere: Route = { door: 'nowhere', refusal: () => notServed(signal.cure) };
    routes.set(signal.httpPath, elsewhere).set(traces.httpPath + signal.httpPath, elsewhere);
  }
  if (tracesApi.enabled) {
    const path = normal(tracesApi.path);
    routes.set(path, { door: 'traces_api' }).set(path + traces.httpPath, exportRoute);
  }
  return (url) => routes.get(url) ?? routes.get(normal(pathOf(url))) ?? nowhere;
}

/** The same for an HTTP path and a gRPC service of another signal. */
export function notServed(cure: string): GatewayError {
  return new GatewayError('not_found', `${cure}: this gateway takes ${traces.name} only`);
}

function nothingHere(): GatewayError {
  // The path is not repeated: it may carry a pasted key.
  return new GatewayError(
    'not_found',
    `send ${traces.name} to ${traces.httpPath}: there is nothing at this path`,
  );
}

/** Without the query, and without the origin that a proxy's request line carries. */
function pathOf(url: string): string {
  const path = /^https?:\/\//i.test(url) ? url.replace(/^https?:\/\/[^/?#]*/i, '') : url;
  return path.split(/[?#]/, 1)[0] ?? '';
}

/** Doubled and trailing slashes come from endpoints that end in one. */
function normal(path: string): string {
  const single = path.replace(/\/{2,}/g, '/');
  return single.length > 1 && single.endsWith('/') ? single.slice(0, -1) : single || '/';
}
