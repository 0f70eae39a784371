/** Durations on the command line and in its answers. */
import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../core/duration.ts';

/** Milliseconds. Throws commander's `InvalidArgumentError`, which ends as wrong usage. */
export function parseDuration(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) {
    throw new InvalidArgumentError('write a duration such as 90d, 24h, 30m or 1h30m');
  }
  return ms;
}

/** For people: `<1 ms`, `850 ms`, `1.24 s`, `3 m 20 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return '<1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(2))} s`;
  const seconds = Math.round(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} m` : `${minutes} m ${seconds % 60} s`;
}
