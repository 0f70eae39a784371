/**
 * What the gateway says about itself: logs, counters, refusals, health.
 *
 * Promise: no key ever passes through here; callers hand over key ids. Label values come from
 * closed sets, so the number of series is bounded. Does not decide anything.
 */
import { createLog, type Log, type LogLevel } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { createRejections, type Rejections } from './rejections.ts';

export type { Health, ReadinessCheck } from './health.ts';
export { createHealth } from './health.ts';
export type { Log, LogLevel } from './log.ts';
export { logLevels } from './log.ts';
export type { ItemOutcome, Metrics, Totals } from './metrics.ts';
export type { Refusals } from './refusals.ts';
export type { Rejection, Rejections } from './rejections.ts';
export { ownVersion } from './version.ts';

export type Observability = {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly refusals: Refusals;
  readonly rejections: Rejections;
};

export type ObservabilityOptions = {
  readonly level: LogLevel;
  /** Where log lines go; standard error by default, so that stdout stays free for results. */
  readonly destination?: { write(line: string): void };
};

export function createObservability(options: ObservabilityOptions): Observability {
  const log = createLog(options);
  const metrics = createMetrics();
  const rejections = createRejections();
  return { log, metrics, refusals: createRefusals(log, metrics, rejections), rejections };
}
