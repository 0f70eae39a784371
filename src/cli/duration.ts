/** Durations as they are written on the command line: `90d`, `24h`, `1h30m`, `500ms`. */
import { InvalidArgumentError } from 'commander';

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds. Throws commander's `InvalidArgumentError`, which ends as wrong usage. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)];
  const whole = parts.map(([part]) => part).join('') === text;
  const sumMs = parts.reduce((sum, [, count, unit = '']) => {
    return sum + Number(count) * (unitMs[unit] ?? Number.NaN);
  }, 0);
  if (parts.length === 0 || !whole || !Number.isSafeInteger(Math.round(sumMs))) {
    throw new InvalidArgumentError('write a duration such as 90d, 24h, 30m or 1h30m');
  }
  return Math.round(sumMs);
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
