/** What is wrong with a configuration, in words for people. */
import { mapLeaves } from './tree.ts';

export type ConfigProblem = {
  /** The full name of the setting; empty where a file as a whole is meant. */
  readonly path: string;
  /** What stands there, with secrets masked; undefined where showing it would not help. */
  readonly value: unknown;
  /** What may stand there. */
  readonly expected: string;
  /** The cure, or the nearest known name. */
  readonly hint?: string;
  /** `file:line:column`, or `--set NAME`. */
  readonly at?: string;
};

/** Everything that is wrong with a configuration, at once. The message is `formatProblems`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(formatProblems(problems));
    this.problems = problems;
  }
}

const valueCharsMax = 120;

/** One block for each problem: name, place, value, what was expected, the cure. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  return problems.map(formatProblem).join('\n');
}

function formatProblem({ path, value, expected, hint, at }: ConfigProblem): string {
  const place = at === undefined ? '' : path === '' ? at : ` (${at})`;
  const lines = [`${path}${place}`, `  expected  ${expected}`];
  if (value !== undefined) lines.splice(1, 0, `  value     ${show(value)}`);
  if (hint !== undefined) lines.push(`  fix       ${hint}`);
  return lines.join('\n');
}

function show(value: unknown): string {
  const written = JSON.stringify(value) ?? String(value);
  return written.length > valueCharsMax ? `${written.slice(0, valueCharsMax)}…` : written;
}

/** Stands for a secret. */
export const hidden = '****';

/**
 * Hides user and password of a URL, with or without a scheme: all up to the last `@`, since a
 * password may hold any character.
 */
export function maskUser(text: string): string {
  return text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, `$1${hidden}@`);
}

/** Hides what looks like a key or a password in a URL, wherever it was pasted by mistake. */
export function maskPasted(value: unknown): unknown {
  return mapLeaves(value, (leaf) =>
    typeof leaf === 'string' ? maskUser(leaf).replace(/mibo_[\w-]{6,}/g, `mibo_${hidden}`) : leaf,
  );
}
