/** Durations as people write them: `90d`, `24h`, `1h30m`, `500ms`. */
const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds; undefined for what is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (text === '0') return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)];
  const whole = parts.map(([part]) => part).join('') === text;
  const sumMs = parts.reduce((sum, [, count, unit = '']) => {
    return sum + Number(count) * (unitMs[unit] ?? Number.NaN);
  }, 0);
  if (parts.length === 0 || !whole || !Number.isSafeInteger(Math.round(sumMs))) return undefined;
  return Math.round(sumMs);
}
