/**
 * What an API key looks like: `mibo_`, 32 random letters and digits (190 bits), 6 of checksum.
 *
 *   mibo_ k3jQ…(32)…9Zx 0aB3cD
 *                       └ CRC32 of everything before it, base62, most significant digit first
 *
 * Keys that were made elsewhere carry no checksum: `mibo_` and 16 to 128 of [A-Za-z0-9_-]. They may
 * have the shape of our own by chance, so a wrong checksum alone never refuses a key; it only makes
 * the hint for an unknown key better.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const prefix = 'mibo_';
const randomChars = 32;
const checksumChars = 6;
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** Bytes from here on are thrown away: 256 is no multiple of 62, so they would favour some. */
const unbiasedBytes = 256 - (256 % alphabet.length);

const keyShape = /^mibo_[A-Za-z0-9_-]{16,128}$/;
const ownShape = /^mibo_[A-Za-z0-9]{38}$/;

/** How a stored key was made; kept with it so that the format can change. */
export const keyFormats = { imported: 0, generated: 1 } as const;

export function generateKey(): string {
  const secret = `${prefix}${randomBase62(randomChars)}`;
  return `${secret}${checksum(secret)}`;
}

/** Every character equally likely, given that every byte of `random` is. */
export function randomBase62(length: number, random: (size: number) => Buffer = randomBytes) {
  let text = '';
  while (text.length < length) {
    for (const byte of random(length - text.length)) {
      if (byte < unbiasedBytes) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

/** Of a key that this product made or that can be imported. */
export function isKeyShaped(key: string): boolean {
  return keyShape.test(key);
}

/** It looks like one of our own, but a character is wrong or missing. */
export function hasWrongChecksum(key: string): boolean {
  return ownShape.test(key) && checksum(key.slice(0, -checksumChars)) !== key.slice(-checksumChars);
}

/**
 * SHA-256, lower-case hex: what is stored and looked up. Enough without a salt, since keys are
 * random (OWASP ASVS 5.0, 6.5.2).
 */
export function hashKey(key: string): string {
  return hash('sha256', key, 'hex');
}

/** The last four characters, by which people tell keys apart. */
export function lastFour(key: string): string {
  return key.slice(-4);
}

/** `mibo_...xxxx`, from a key or from its last four characters. */
export function maskKey(key: string): string {
  return `${prefix}...${lastFour(key)}`;
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let index = 0; index < checksumChars; index += 1) {
    digits = `${alphabet[rest % alphabet.length]}${digits}`;
    rest = Math.floor(rest / alphabet.length);
  }
  return digits;
}
