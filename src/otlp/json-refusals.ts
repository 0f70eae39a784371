/** The refusals of OTLP/JSON: what does not fit, by its path, and bodies of something else. */
import { GatewayError } from '../core/errors.ts';
import type { JsonObject } from './json-text.ts';
import { wrongSignal } from './malformed.ts';
import { exportRequest } from './schema.ts';
import type { SignalName } from './signals.ts';

const pathCharsMax = 200;

/** `what` continues the path: `should be …`. */
export function misfitAt(path: readonly (string | number)[], what: string): GatewayError {
  const named = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  // Of what nests without end the reason has to stay in sight.
  const shown = named.length > pathCharsMax ? `${named.slice(1, pathCharsMax)}…` : named.slice(1);
  return refusal(`send OTLP/JSON: ${shown || 'the body'} ${what}`, { path: shown, what });
}

const otherSignals: Readonly<Record<string, SignalName>> = {
  resourceLogs: 'logs',
  resource_logs: 'logs',
  resourceMetrics: 'metrics',
  resource_metrics: 'metrics',
};

/** Throws for what would be accepted as unknown fields, and lost. */
export function refuseOtherBodies(body: JsonObject): void {
  const present = Object.keys(body).filter((name) => body[name] !== null);
  for (const name of present) {
    const signal = Object.hasOwn(otherSignals, name) ? otherSignals[name] : undefined;
    if (signal) throw wrongSignal(signal, `it has ${name}`);
  }
  if (present.length === 0 || present.some((name) => exportRequest.byName.has(name))) return;
  const what = 'this body has no resourceSpans, where OTLP/JSON has its spans';
  const fix = present.includes('spans')
    ? 'send flat spans to POST /public/traces (Your API), or send {"resourceSpans": [...]} here'
    : 'send OTLP/JSON: {"resourceSpans": [...]}';
  throw refusal(`${fix}: ${what}`, { path: 'resourceSpans', what });
}

function refusal(hint: string, { path, what }: { path: string; what: string }): GatewayError {
  return new GatewayError('malformed', hint, {
    details: [{ location: 'body', msg: what, path, type: 'field' }],
  });
}
