/**
 * The kinds of values a setting can have: how each is read from YAML, what it must be, how it is
 * written back. Everything that is told about a setting stands in the `settings` registry, so that
 * messages, `print-config`, gateway.yaml and the documentation say the same.
 */
import { parse } from 'yaml';
import { z } from 'zod';
import { formatDuration, formatEndpoint, parseDuration, parseEndpoint } from './notation.ts';

export type Setting = {
  /** One line of meaning. */
  readonly about: string;
  /** The default, as written in YAML. */
  readonly preset: unknown;
  /** What a person may write, in plain words. */
  readonly expected: string;
  /** The cure for a particular wrong value. */
  readonly hint?: ((value: unknown) => string | undefined) | undefined;
  /** The read value as it is written in YAML; as it is, unless given. */
  readonly write?: ((value: never) => unknown) | undefined;
  /** Hides the secret part of a written value. */
  readonly mask?: ((written: unknown) => unknown) | undefined;
};

/** What is told about each setting, by its schema. */
export const settings = z.registry<Setting>();
/** One line of meaning for each section, by its schema. */
export const sections = z.registry<{ readonly about: string }>();

export function section<Shape extends z.ZodRawShape>(about: string, shape: Shape) {
  return z.strictObject(shape).register(sections, { about });
}

const substitutedText = Symbol('substituted text');

/**
 * Text from `${env:…}` or `--set`. As in the Collector, what it is depends on where it goes: a text
 * setting takes it as it stands (a key `0123` keeps its zero), any other reads it as YAML.
 */
export function substituted(text: string): unknown {
  // Without a prototype it is no map of settings to `merge`.
  return Object.assign(Object.create(null), { [substitutedText]: text });
}

/** A value as text where it was substituted; any other value as it is. */
export function asText(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !(substitutedText in value)) return value;
  return value[substitutedText];
}

function asYaml(value: unknown): unknown {
  const text = asText(value);
  if (text === value || typeof text !== 'string') return value;
  try {
    return parse(text) ?? '';
  } catch {
    return text;
  }
}

type Kind<T> = Pick<Setting, 'expected' | 'hint' | 'write' | 'mask'> & {
  read(value: unknown): unknown;
  valid: z.ZodType<T>;
};

type Words = { readonly about: string; readonly preset: unknown };
type Range = { readonly min: number; readonly max: number };

function setting<T>(words: Words, kind: Kind<T>) {
  const { read, valid, ...told } = kind;
  return z.preprocess(read, valid).register(settings, { ...words, ...told });
}

export function whole(words: Words & Range & { unit?: string }) {
  const { min, max, unit, ...rest } = words;
  return setting(rest, {
    read: asYaml,
    valid: z.int().min(min).max(max),
    expected: `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${min} to ${max}`,
    hint: (value) => (typeof value === 'string' ? 'write the number without quotes' : undefined),
  });
}

export function decimal(words: Words & Range) {
  const { min, max, ...rest } = words;
  return setting(rest, {
    read: asYaml,
    valid: z.number().min(min).max(max),
    expected: `a number from ${min} to ${max}`,
    hint: (value) => (typeof value === 'string' ? 'write the number without quotes' : undefined),
  });
}

export function flag(words: Words) {
  return setting(words, { read: asYaml, valid: z.boolean(), expected: 'true or false' });
}

export function choice<const Values extends readonly [string, ...string[]]>(
  words: Words & { values: Values },
) {
  const { values, ...rest } = words;
  return setting(rest, {
    read: asText,
    valid: z.enum(values),
    expected: `one of ${values.join(', ')}`,
  });
}

/** Milliseconds; `min` and `max` are written as durations. */
export function duration(words: Words & { min: string; max: string }) {
  const { min, max, ...rest } = words;
  const limits = [parseDuration(min), parseDuration(max)] as [number, number];
  return setting(rest, {
    read: (value) => parseDuration(asText(value)),
    valid: z.int().min(limits[0]).max(limits[1]),
    expected: `a duration from ${min} to ${max}, such as 500ms, 5s, 3m or 1h30m`,
    hint: (value) =>
      /^\d+$/.test(String(value)) ? `add the unit: ${value}s or ${value}ms` : undefined,
    write: formatDuration,
  });
}

/** Where a listener binds: `{ host, port }`, with an IPv6 host without its brackets. */
export function endpoint(words: Words) {
  return setting(words, {
    read: (value) => parseEndpoint(asText(value)),
    valid: endpointShape,
    ...endpointWords,
    write: formatEndpoint,
  });
}

/** The same, where empty text (null once read) switches the listener off. */
export function endpointOrOff(words: Words) {
  return setting(words, {
    read: (value) => (asText(value) === '' ? null : parseEndpoint(asText(value))),
    valid: endpointShape.nullable(),
    ...endpointWords,
    expected: `${endpointWords.expected}; empty for none`,
    write: (value: z.infer<typeof endpointShape> | null) =>
      value === null ? '' : formatEndpoint(value),
  });
}

const endpointShape = z.strictObject({ host: z.string(), port: z.int() });
const endpointWords = {
  expected: 'host:port, such as 0.0.0.0:4317, "[::1]:4317" or :4317 (port 0 picks a free one)',
  hint: (value: unknown) =>
    typeof value === 'string' && value.includes('://')
      ? `leave out ${value.slice(0, value.indexOf('://') + 3)}`
      : undefined,
};

type TextRules = { pattern?: RegExp; expected?: string; lowerCase?: boolean } & Pick<
  Setting,
  'hint' | 'mask'
>;

const quotesHint = (value: unknown) =>
  typeof value === 'number' || typeof value === 'boolean' ? 'put it in quotes' : undefined;

/** Text on one line. */
export function text(words: Words, rules: TextRules = {}) {
  const { pattern = /^[^\p{Cc}]*$/u, expected = 'text on one line', hint, mask } = rules;
  return setting(words, {
    read(value) {
      const raw = asText(value);
      return rules.lowerCase && typeof raw === 'string' ? raw.toLowerCase() : raw;
    },
    valid: z.string().regex(pattern),
    expected,
    hint: (value) => quotesHint(value) ?? hint?.(value),
    mask,
  });
}

export function textList(words: Words) {
  return setting(words, {
    read(value) {
      const list = asYaml(value);
      return Array.isArray(list) ? list.map(asText) : list;
    },
    valid: z.array(z.string().min(1)),
    expected: 'a list of texts, such as ["a", "b"]',
  });
}

const mask = '****';
export const maskWhole = (written: unknown) => (written === '' ? '' : mask);

/** The credentials in a URL: up to the last `@`, since a password may hold any character. */
export function maskUrl(written: unknown): unknown {
  if (typeof written !== 'string') return written;
  return written.replace(/\/\/.*@/, `//${mask}@`).replace(/(password=)[^&]*/gi, `$1${mask}`);
}

function maskValues(written: unknown): unknown {
  if (typeof written !== 'object' || written === null) return maskWhole(written);
  return Object.fromEntries(Object.keys(written).map((name) => [name, mask]));
}

// RFC 9110 §5.6.2: a field name is a token.
const headerNamePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Header names are read in lower case, as Node and HTTP/2 have them. */
export function headerName(words: Words & { reserved: readonly string[] }) {
  const { reserved, ...rest } = words;
  const pattern = new RegExp(`^(?!(?:${reserved.join('|')})$)${headerNamePattern.source.slice(1)}`);
  return text(rest, {
    pattern,
    expected: `a header name other than ${reserved.join(', ')}`,
    lowerCase: true,
  });
}

/** Headers for outgoing requests. Names in lower case; values may be secrets. */
export function headers(words: Words & { reserved: RegExp; reservedWords: string }) {
  const { reserved, reservedWords, ...rest } = words;
  const name = z
    .string()
    .regex(headerNamePattern)
    .refine((header) => !reserved.test(header));
  return setting(rest, {
    read(value) {
      const record = asYaml(value);
      if (typeof record !== 'object' || record === null || Array.isArray(record)) return record;
      return Object.fromEntries(
        Object.entries(record).map(([header, held]) => [header.toLowerCase(), asText(held)]),
      );
    },
    valid: z.record(name, z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/)),
    expected: `names and values of headers, other than ${reservedWords}`,
    hint: quotesHint,
    mask: maskValues,
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
  return setting(rest, {
    read(value) {
      const raw = asText(value);
      return typeof raw === 'string' ? raw.replace(/\/+$/, '') : raw;
    },
    valid: z.string().refine((raw) => (orEmpty && raw === '') || isPlainUrl(raw)),
    expected: `http://host:port or https://host, without user, password, ? or #${
      orEmpty ? '; empty for none' : ''
    }`,
    hint: (value) =>
      typeof value === 'string' && /^[\w.-]+:\d+/.test(value) ? `write http://${value}` : undefined,
    mask: maskUrl,
  });
}

function isPlainUrl(raw: string): boolean {
  if (!/^https?:\/\/[^\s?#@\\]+$/.test(raw)) return false;
  return URL.canParse(raw) && new URL(raw).port !== '0';
}
