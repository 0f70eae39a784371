import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatDuration,
  formatEndpoint,
  parseDuration,
  parseEndpoint,
} from '../../src/config/notation.ts';

describe('durations', () => {
  test.each([
    ['5s', 5_000],
    ['3m', 180_000],
    ['24h', 86_400_000],
    ['500ms', 500],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['0.1s', 100],
    ['1.001s', 1_001],
    ['0s', 0],
    [0, 0],
    ['0', 0],
  ])('%s is %i ms', (written, ms) => {
    expect(parseDuration(written)).toBe(ms);
  });

  test.each([5, '5', '', 's', '5 s', '-5s', '5d', '5S', '1e3s', '5s!', null, true, Number.NaN])(
    '%s is not a duration',
    (written) => {
      expect(parseDuration(written)).toBeUndefined();
    },
  );

  test('every number of milliseconds is read back as it was written', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe('endpoints', () => {
  test.each([
    ['0.0.0.0:4317', '0.0.0.0', 4317],
    ['localhost:0', 'localhost', 0],
    [':4317', '0.0.0.0', 4317],
    ['[::1]:4317', '::1', 4317],
    ['[fe80::1%eth0]:65535', 'fe80::1%eth0', 65_535],
  ])('%s', (written, host, port) => {
    expect(parseEndpoint(written)).toEqual({ host, port });
    expect(parseEndpoint(formatEndpoint({ host, port }))).toEqual({ host, port });
  });

  test.each([
    '4317',
    '::1:4317',
    'localhost',
    'localhost:',
    'a:65536',
    'http://a:1',
    'a b:1',
    4317,
  ])('%s is not an endpoint', (written) => {
    expect(parseEndpoint(written)).toBeUndefined();
  });
});
