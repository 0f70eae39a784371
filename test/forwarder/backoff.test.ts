import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, parseRetryAfter, retryAfterMsMax } from '../../src/forwarder/backoff.ts';

const retry = {
  initialIntervalMs: 1000,
  maxIntervalMs: 30_000,
  multiplier: 1.5,
  randomizationFactor: 0.5,
  maxElapsedTimeMs: 0,
};
const restMsMax = () => Number.POSITIVE_INFINITY;

describe('backoff', () => {
  test('is spread evenly around the interval by the randomization factor', () => {
    const spread = (random: number) =>
      backoffMs({ retry, random: () => random, restMsMax }, 1, undefined);
    expect([spread(0), spread(0.5), spread(1)]).toEqual([500, 1000, 1500]);
  });

  test('is within its bounds after any number of failures', () => {
    const failures = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(failures, fc.double({ min: 0, max: 1, noNaN: true }), (count, random) => {
        const waitMs = backoffMs({ retry, random: () => random, restMsMax }, count, undefined);
        expect(waitMs).toBeGreaterThanOrEqual(500);
        expect(waitMs).toBeLessThanOrEqual(45_000);
      }),
    );
  });

  test('is never less than the downstream asked for', () => {
    expect(backoffMs({ retry, random: () => 1, restMsMax }, 1, 60_000)).toBe(60_000);
  });

  test('ends in time, whatever the downstream asked for', () => {
    const hurried = { retry, random: () => 1, restMsMax: () => 1000 };
    expect(backoffMs(hurried, 1, 60_000)).toBe(1000);
    expect(backoffMs(hurried, 9, undefined)).toBe(1000);
  });
});

describe('Retry-After', () => {
  const wallMs = Date.UTC(2026, 0, 1);
  test.each([
    [undefined, undefined],
    ['', undefined],
    ['0', 0],
    [' 2 ', 2000],
    ['1.5', undefined],
    ['-3', undefined],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
    ['Fri, 02 Jan 2026 00:00:00 GMT', retryAfterMsMax],
    ['99999999999999999999', retryAfterMsMax],
    ['later', undefined],
  ])('%j is %j', (text, expected) => {
    expect(parseRetryAfter(text, wallMs)).toBe(expected);
  });
});
