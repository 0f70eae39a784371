/** Settings that are numbers, switches, choices, durations and endpoints. */
import { z } from 'zod';
import { formatDuration, formatEndpoint, parseDuration, parseEndpoint } from './notation.ts';
import { asText, asYaml, setting, type Words } from './setting.ts';

type Range = { readonly min: number; readonly max: number };

function number(words: Words, valid: z.ZodNumber, expected: string) {
  return setting(words, {
    read: asYaml,
    valid,
    expected,
    hint: (value) =>
      typeof value === 'string' && value !== '' && valid.safeParse(Number(value)).success
        ? 'write the number without quotes'
        : undefined,
  });
}

export function whole(words: Words & Range & { unit?: string }) {
  const { min, max, unit, ...rest } = words;
  const expected = `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${min} to ${max}`;
  return number(rest, z.int().min(min).max(max), expected);
}

export function decimal(words: Words & Range) {
  const { min, max, ...rest } = words;
  return number(rest, z.number().min(min).max(max), `a number from ${min} to ${max}`);
}

export function flag(words: Words) {
  return setting(words, {
    read: asYaml,
    valid: z.boolean(),
    expected: 'true or false',
    hint: (value) =>
      value === 'true' || value === 'false' ? 'write the word without quotes' : undefined,
  });
}

export function choice<const Values extends readonly [string, ...string[]]>(
  words: Words & { values: Values },
) {
  const { values, ...rest } = words;
  return setting(rest, {
    read: asText,
    valid: z.enum(values),
    expected: `one of ${values.join(', ')}`,
    hint: (value) => (values.includes(String(value)) ? 'put it in quotes' : undefined),
  });
}

/** Milliseconds; `min` and `max` are written as durations. */
export function duration(words: Words & { min: string; max: string }) {
  const { min, max, ...rest } = words;
  const [minMs, maxMs] = [parseDuration(min), parseDuration(max)] as [number, number];
  return setting(rest, {
    read: (value) => parseDuration(asText(value)),
    valid: z.int().min(minMs).max(maxMs),
    expected: `a duration from ${min} to ${max}, such as 500ms, 5s, 3m or 1h30m`,
    hint: (value) =>
      /^\d+$/.test(String(value)) ? `add the unit: ${value}s or ${value}ms` : undefined,
    write: formatDuration,
  });
}

const endpointShape = z.strictObject({ host: z.string(), port: z.int() });
const endpointWords = {
  expected: 'host:port, such as 0.0.0.0:4317, "[::1]:4317" or :4317 (port 0 picks a free one)',
  hint(value: unknown) {
    if (typeof value === 'number') return `write :${value} in quotes, or the host before it`;
    const scheme = typeof value === 'string' ? /^\w+:\/\//.exec(value)?.[0] : undefined;
    return scheme === undefined ? undefined : `leave out ${scheme}`;
  },
};

/** Where a listener binds: `{ host, port }`, with an IPv6 host without its brackets. */
export function endpoint(words: Words) {
  return setting(words, {
    ...endpointWords,
    read: (value) => parseEndpoint(asText(value)),
    valid: endpointShape,
    write: formatEndpoint,
  });
}

/** The same, where empty text (null once read) switches the listener off. */
export function endpointOrOff(words: Words) {
  return setting(words, {
    ...endpointWords,
    read: (value) => (asText(value) === '' ? null : parseEndpoint(asText(value))),
    valid: endpointShape.nullable(),
    expected: `${endpointWords.expected}; empty for none`,
    write: (value: z.infer<typeof endpointShape> | null) =>
      value === null ? '' : formatEndpoint(value),
  });
}
