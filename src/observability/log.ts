/** Structured logs: one JSON line per event, on standard error. */
import { type Logger, pino } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export type Log = Logger;

export function createLog(options: {
  readonly level: LogLevel;
  readonly destination?: { write(line: string): void };
}): Log {
  const settings = {
    level: options.level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Synchronous, so that the last words before an exit are not lost; refusals are rate limited.
  return pino(settings, options.destination ?? pino.destination({ fd: 2, sync: true }));
}
