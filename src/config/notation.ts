/** How durations and endpoints are written. Parsers answer undefined for what they cannot read. */

export type Endpoint = { host: string; port: number };

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds of `5s`, `500ms`, `1h30m` or `1.5h` (Go's notation, as the Collector's); also 0. */
export function parseDuration(value: unknown): number | undefined {
  if (value === 0 || value === '0') return 0;
  if (typeof value !== 'string' || !/^(?:\d+(?:\.\d+)?(?:ms|h|m|s))+$/.test(value))
    return undefined;
  let totalMs = 0;
  for (const [, count, unit] of value.matchAll(/([\d.]+)(ms|h|m|s)/g)) {
    totalMs += Number(count) * (unitMs[unit as string] as number);
  }
  // 1.001s is not a whole number of milliseconds in floating point, though it is in words.
  return Math.round(totalMs);
}

export function formatDuration(totalMs: number): string {
  if (totalMs === 0) return '0s';
  let restMs = totalMs;
  let written = '';
  for (const [unit, ms] of Object.entries(unitMs)) {
    const count = Math.floor(restMs / ms);
    if (count > 0) written += `${count}${unit}`;
    restMs -= count * ms;
  }
  return written;
}

/** `host:port`, `[::1]:4317` or `:4317`, which means all IPv4 addresses. */
export function parseEndpoint(value: unknown): Endpoint | undefined {
  if (typeof value !== 'string') return undefined;
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([\w.-]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { host: match[1] || match[2] || '0.0.0.0', port };
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
