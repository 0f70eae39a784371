/** The last time that a date can hold (ECMA-262, 21.4.1.1). */
const lastTimeMs = 8.64e15;

/**
 * RFC 3339, UTC, to the millisecond. A store may hold a later time than dates can; one such key
 * must not hide all others.
 */
export function isoTime(ms: number): string {
  return new Date(Math.min(ms, lastTimeMs)).toISOString();
}
