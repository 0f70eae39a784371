/** What people read: durations, tables, addresses. */
import { InvalidArgumentError } from 'commander';
import { describe, expect, test } from 'vitest';
import { reachable, written } from '../../src/cli/address.ts';
import { formatDuration, parseDuration } from '../../src/cli/duration.ts';
import { formatFields, formatTable, formatTime, printable } from '../../src/cli/table.ts';

describe('durations', () => {
  test.each([
    ['90d', 90 * 86_400_000],
    ['24h', 86_400_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['2w', 1_209_600_000],
    ['0', 0],
  ])('%s is read', (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each(['', '90', 'd', '3x', '-1h', '1h ', '1h!', '99999999999999999d'])('%j is not', (text) =>
    expect(() => parseDuration(text)).toThrow(InvalidArgumentError),
  );

  test.each([
    [0, '<1 ms'],
    [0.4, '<1 ms'],
    [1, '1 ms'],
    [850, '850 ms'],
    [1240, '1.24 s'],
    [200_000, '3 m 20 s'],
    [7_500_000, '2 h 5 m'],
  ])('%d ms is shown as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));
});

describe('tables', () => {
  test('columns are as wide as their widest cell', () => {
    expect(
      formatTable(
        ['A', 'NAME'],
        [
          ['long id', 'x'],
          ['b', 'Zoë'],
        ],
      ),
    ).toBe('A        NAME\nlong id  x\nb        Zoë\n');
  });

  test('fields stand below one another', () => {
    expect(
      formatFields([
        ['id', 'x'],
        ['name', 'y'],
      ]),
    ).toBe('id    x\nname  y\n');
  });

  test('no name can move the cursor, colour the terminal or turn the line around', () => {
    expect(printable('a\u001b[31mb\nc\u202ed')).toBe('a�[31mb�c�d');
  });

  test('times are in UTC, to the minute', () => {
    expect(formatTime(Date.UTC(2026, 10, 24, 20, 43, 59), 'never')).toBe('2026-11-24 20:43');
    expect(formatTime(undefined, 'never')).toBe('never');
  });

  test('a time beyond every calendar is shown as the last one', () => {
    expect(formatTime(Number.MAX_SAFE_INTEGER, 'never')).toBe('+275760-09-13 00:00');
  });
});

describe('addresses', () => {
  test.each([
    ['0.0.0.0', '127.0.0.1:1'],
    ['::', '[::1]:1'],
    ['::1', '[::1]:1'],
    ['gateway.local', 'gateway.local:1'],
  ])('a client here reaches %s at %s', (host, text) => {
    expect(reachable({ host, port: 1 })).toBe(text);
  });

  test('IPv6 is written in brackets', () => {
    expect(written({ host: 'fe80::1', port: 4317 })).toBe('[fe80::1]:4317');
  });
});
