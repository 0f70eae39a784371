/** The error table: what every refusal promises whoever reads it. */
import { describe, expect, test } from 'vitest';
import { type ErrorKind, type ErrorRow, errorTable, GatewayError } from '../../src/core/errors.ts';

const kinds = Object.keys(errorTable) as ErrorKind[];

describe('every refusal', () => {
  test.each(kinds)('%s ends with its stable code and stays under 1 KiB', (kind) => {
    const error = new GatewayError(kind, 'x'.repeat(5_000));
    expect(error.message.endsWith(` [${errorTable[kind].code}]`)).toBe(true);
    expect(Buffer.byteLength(error.message)).toBeLessThan(1_024);
  });

  test.each(kinds)('%s says when to try again exactly if that can help', (kind) => {
    const row: ErrorRow = errorTable[kind];
    const { retryAfterMs } = new GatewayError(kind, 'hint', { retryAfterMs: 1_234 });
    expect(retryAfterMs).toBe(row.retryAfterMs === undefined ? undefined : 1_234);
    expect([429, 503].includes(row.http)).toBe(row.retryAfterMs !== undefined);
  });

  test('an unknown fault is retryable and keeps its cause private', () => {
    const cause = new Error('secret detail');
    const error = GatewayError.from(cause);
    expect(error.kind).toBe('internal');
    expect(error.retryAfterMs).toBeGreaterThan(0);
    expect(error.message).not.toContain('secret');
    expect(error.cause).toBe(cause);
  });
});
