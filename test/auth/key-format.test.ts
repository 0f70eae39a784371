import { describe, expect, test } from 'vitest';
import { maskKey } from '../../src/auth/auth.ts';
import {
  generateKey,
  hashKey,
  hasWrongChecksum,
  isKeyShaped,
  randomBase62,
} from '../../src/auth/key-format.ts';

describe('a new key', () => {
  test('is mibo_, 32 random and 6 checksum characters, and never the same', () => {
    const keys = new Set(Array.from({ length: 1_000 }, generateKey));
    expect(keys.size).toBe(1_000);
    for (const key of keys) {
      expect(key).toMatch(/^mibo_[0-9A-Za-z]{38}$/);
      expect(isKeyShaped(key)).toBe(true);
      expect(hasWrongChecksum(key)).toBe(false);
    }
  });

  test('is drawn without bias: every byte value gives each character equally often', () => {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const drawn = randomBase62(248, (size) => everyByte.subarray(0, Math.max(size, 256)));
    const counts = new Map<string, number>();
    for (const character of drawn) counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(62);
    expect(new Set(counts.values())).toEqual(new Set([4]));
  });

  test('has exactly as many random characters as asked, whatever is thrown away', () => {
    const mostlyUnusable = (size: number) => Buffer.alloc(size, 255).fill(7, 0, 1);
    expect(randomBase62(5, mostlyUnusable)).toBe('77777');
  });
});

describe('the checksum', () => {
  test('is the CRC32 of what precedes it, in base62', () => {
    // CRC32 of "mibo_" + 32 zeros, worked out with Python's zlib and int arithmetic.
    expect(hasWrongChecksum(`mibo_${'0'.repeat(32)}4Q0Qkd`)).toBe(false);
  });

  test('finds every single wrong character', () => {
    const key = generateKey();
    for (let index = 5; index < key.length; index += 1) {
      const other = key[index] === 'a' ? 'b' : 'a';
      expect(hasWrongChecksum(`${key.slice(0, index)}${other}${key.slice(index + 1)}`)).toBe(true);
    }
  });

  test('is not expected of keys in another shape', () => {
    expect(hasWrongChecksum('mibo_0123456789abcdef')).toBe(false);
  });
});

test('keys from elsewhere are mibo_ and 16 to 128 of letters, digits, _ and -', () => {
  const body = (length: number) => `mibo_${'aZ0_-'.repeat(30).slice(0, length)}`;
  expect([15, 16, 128, 129].map((length) => isKeyShaped(body(length)))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  for (const wrong of [
    'mibo_',
    'MIBO_0123456789abcdef',
    ' mibo_0123456789abcdef',
    `${body(20)}\n`,
  ]) {
    expect(isKeyShaped(wrong)).toBe(false);
  }
});

test('a masked key shows the last four characters', () => {
  expect(maskKey('mibo_0123456789abcdef')).toBe('mibo_...cdef');
});

test('a key is stored as its SHA-256 in hex', () => {
  expect(hashKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
