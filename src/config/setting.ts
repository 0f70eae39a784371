/**
 * What a setting is: how it is read from YAML, what it must be, how it is written back. Everything
 * that is told about it stands in the `settings` registry, so that messages, `print-config`,
 * gateway.yaml and the documentation say the same.
 */
import { parse } from 'yaml';
import { z } from 'zod';

export type Setting = {
  /** One line of meaning. */
  readonly about: string;
  /** The default, as written in YAML. */
  readonly preset: unknown;
  /** What a person may write, in plain words. */
  readonly expected: string;
  /** The cure for a particular wrong value that is no map or list. */
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

export type Words = Pick<Setting, 'about' | 'preset'>;

type Kind<T> = Omit<Setting, keyof Words> & {
  /** From YAML or substituted text; anything that `valid` refuses where it cannot be read. */
  readonly read: (value: unknown) => unknown;
  readonly valid: z.ZodType<T>;
};

export function setting<T>(words: Words, kind: Kind<T>) {
  const { read, valid, ...told } = kind;
  return z.preprocess(read, valid).register(settings, { ...words, ...told });
}

export function section<Shape extends z.ZodRawShape>(about: string, shape: Shape) {
  return z.strictObject(shape).register(sections, { about });
}

/** A value as it is written in YAML, with secrets hidden on demand. */
export function writtenValue(value: unknown, told: Setting, options: { masked: boolean }): unknown {
  const written = told.write === undefined ? value : told.write(value as never);
  return options.masked && told.mask !== undefined ? told.mask(written) : written;
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

/** Substituted text read as YAML; any other value as it is. */
export function asYaml(value: unknown): unknown {
  const text = asText(value);
  if (text === value || typeof text !== 'string') return value;
  try {
    return parse(text, { logLevel: 'error' }) ?? '';
  } catch {
    return text;
  }
}
