/** Settings that are text: names, paths, URLs, headers, secrets. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { hidden } from './problems.ts';
import { asText, asYaml, type Setting, setting, type Words } from './setting.ts';

type TextRules = Pick<Setting, 'mask'> & {
  readonly pattern?: RegExp;
  readonly expected?: string;
  readonly lowerCase?: boolean;
};

const quotesHint = (value: unknown) =>
  typeof value === 'number' || typeof value === 'boolean' ? 'put it in quotes' : undefined;

/** Text on one line. */
export function text(words: Words, rules: TextRules = {}) {
  const { pattern = /^[^\p{Cc}]*$/u, expected = 'text on one line', lowerCase, mask } = rules;
  return setting(words, {
    read(value) {
      const raw = asText(value);
      return lowerCase && typeof raw === 'string' ? raw.toLowerCase() : raw;
    },
    valid: z.string().regex(pattern),
    expected,
    hint: quotesHint,
    mask,
  });
}

/** The path of a file or directory. */
export function filePath(words: Words) {
  return text(words, { pattern: /^[^\p{Cc}]+$/u, expected: 'a path in the file system' });
}

export function textList(words: Words) {
  return setting(words, {
    read(value) {
      const list = asYaml(value);
      return Array.isArray(list) ? list.map(asText) : list;
    },
    valid: z.array(z.string().min(1)),
    expected: 'a list of texts such as ["a", "b"]',
  });
}

/** IP addresses, or networks such as 10.0.0.0/8. */
export function networkList(words: Words) {
  return setting(words, {
    read: asYaml,
    valid: z.array(z.string().refine(isNetwork)),
    expected: 'a list of IP addresses or networks such as ["10.0.0.0/8", "fd00::/8"]',
  });
}

function isNetwork(written: string): boolean {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(written) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix ?? 0) <= (family === 4 ? 32 : 128);
}

export const maskWhole = (written: unknown) => (written === '' ? '' : hidden);

const host = String.raw`(?:[\w.-]+|\[[\da-f:.]+\])`;
// Without a port, what stands behind a comma may as well be the end of a password.
const hosts = String.raw`${host}(?::\d{1,5})?(?:,${host}:\d{1,5})*`;
const authority = String.raw`[a-z][a-z\d+.-]*://(?:[^\s/?#]*@)?(?:${hosts})?`;
const url = String.raw`${authority}(?:/[\w.~%+:/-]*)?(?:[?#][^\s@,]*)?`;
const urls = new RegExp(String.raw`^${url}(?:,\s*${url})*$`, 'i');

/**
 * Hides user, password and parameters of a URL, or of a list of them. What is none, such as
 * `host=db password=…`, is hidden as a whole: nobody knows where in it the password is.
 */
export function maskUrl(written: unknown): unknown {
  if (typeof written !== 'string' || !urls.test(written)) return maskWhole(written);
  return written.replace(/[^/]*@/g, `${hidden}@`).replace(/([?#])[^,]*/g, `$1${hidden}`);
}

function maskValues(written: unknown): unknown {
  if (typeof written !== 'object' || written === null) return maskWhole(written);
  return Object.fromEntries(Object.keys(written).map((name) => [name, hidden]));
}

// RFC 9110 §5.6.2: a field name is a token.
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/** A header name other than the reserved ones, read in lower case as Node and HTTP/2 have it. */
export function headerName(words: Words & { reserved: readonly string[] }) {
  const { reserved, ...rest } = words;
  return text(rest, {
    pattern: new RegExp(`^(?!(?:${reserved.join('|')})$)${token}$`),
    expected: `a header name other than ${reserved.join(', ')}`,
    lowerCase: true,
  });
}

/** Headers for outgoing requests. Names in lower case; values may be secrets. */
export function headers(words: Words & { reserved: RegExp; reservedWords: string }) {
  const { reserved, reservedWords, ...rest } = words;
  const name = z
    .string()
    .regex(new RegExp(`^${token}$`))
    .refine((header) => !reserved.test(header));
  return setting(rest, {
    read(value) {
      const record = asYaml(value);
      if (typeof record !== 'object' || record === null || Array.isArray(record)) return record;
      // zod leaves this name out without a word.
      if (Object.hasOwn(record, '__proto__')) return undefined;
      return Object.fromEntries(
        Object.entries(record).map(([header, held]) => [header.toLowerCase(), asText(held)]),
      );
    },
    // RFC 9110 §5.5: visible characters, spaces and tabs.
    valid: z.record(name, z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/)),
    expected: `names of headers other than ${reservedWords}, each with a text`,
    hint: quotesHint,
    mask: maskValues,
  });
}

/**
 * Where another server is. Anything is taken, and judged where it is used: a variable of that name
 * may be meant for another program. A mounted secret often ends with a line break.
 */
export function serverUrl(words: Words) {
  return setting(words, {
    read(value) {
      const raw = asText(value);
      return typeof raw === 'string' ? raw.trim() : raw;
    },
    valid: z.string(),
    expected: 'a URL, or empty',
    hint: quotesHint,
    mask: maskUrl,
  });
}

/** The path of a URL. */
export function urlPath(words: Words) {
  return text(words, {
    pattern: /^\/[^\s?#\p{Cc}]*$/u,
    expected: 'a path that starts with / and has no ?, # or space',
  });
}

/** An http(s) URL as text, without a slash at its end. */
export function httpUrl(words: Words & { orEmpty?: boolean }) {
  const { orEmpty = false, ...rest } = words;
  const plain = 'http://host:port or https://host, without user, password, ? or #';
  return setting(rest, {
    read(value) {
      const raw = asText(value);
      return typeof raw === 'string' ? raw.replace(/\/+$/, '') : raw;
    },
    valid: z.string().refine((raw) => (orEmpty && raw === '') || isPlainUrl(raw)),
    expected: orEmpty ? `${plain}; empty for none` : plain,
    hint: (value) =>
      // What stands there is repeated, so it must be nothing but a host, a port and a path.
      typeof value === 'string' && /^[\w.-]+:\d+(?:\/[\w./-]*)?$/.test(value)
        ? `write http://${value}`
        : undefined,
    mask: maskUrl,
  });
}

function isPlainUrl(raw: string): boolean {
  if (!/^https?:\/\/[^\s?#@\\]+$/.test(raw) || !URL.canParse(raw)) return false;
  return new URL(raw).port !== '0';
}
