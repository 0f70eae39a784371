/**
 * Keeps secrets out of what the downstream says: it may quote the request that it refuses, and its
 * words go into log lines and to clients.
 */
import type { Delivery } from '../core/delivery.ts';

export type Secrets = {
  /** Text without the forwarded key, the values of configured headers, and any key of Mibo. */
  hideInText(text: string, delivery: Delivery | undefined): string;
  /**
   * A body that is the client's to read, without the one key that was sent with it. All else is
   * data: a configured value may well be a plain word that stands there for itself.
   */
  hideInBody(body: Buffer, delivery: Delivery): Buffer;
};

const hidden = '****';
/** Also as it stands in a URL. Cut off or not, what follows may be part of a key. */
const miboKey = /mibo(?:_|%5f)[\w-]+/gi;
/** Anything shorter is no secret, and would be found in the midst of other words. */
const secretCharsMin = 8;

export function createSecrets(headers: Readonly<Record<string, string>>): Secrets {
  // `Bearer abc…` is quoted with or without its first word. Longer ones first, as one may be part
  // of another.
  const configured = Object.values(headers)
    .flatMap((value) => [value.trim(), ...value.split(/\s+/)])
    .filter((value) => value.length >= secretCharsMin)
    .sort((one, other) => other.length - one.length);
  const ownKey = Object.entries(headers).find(([name]) => name.toLowerCase() === 'x-api-key')?.[1];
  return {
    hideInText(text, delivery) {
      const key = delivery?.forwardKey;
      const secrets = key === undefined || key === '' ? configured : [key, ...configured];
      return secrets
        .reduce((safe, secret) => safe.replaceAll(secret, hidden), text)
        .replace(miboKey, hidden);
    },
    hideInBody(body, { forwardKey }) {
      const key = forwardKey ?? ownKey ?? '';
      if (key.length < secretCharsMin || !body.includes(key)) return body;
      // One character per byte: whatever else is in the body stays as it is.
      const secret = Buffer.from(key).toString('latin1');
      return Buffer.from(body.toString('latin1').replaceAll(secret, hidden), 'latin1');
    },
  };
}
