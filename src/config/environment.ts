/**
 * `${env:NAME}` and `${env:NAME:-default}` in values; `$$` is a `$`.
 *
 * As in the Collector: the default counts where the variable is not set (a variable that is set but
 * empty gives empty text), and what a variable holds is not looked through again. Unlike there, a
 * variable that is neither set nor has a default is a problem, and so is `${NAME}` without `env:`.
 */

import type { ConfigProblem } from './problems.ts';
import { asText, substituted } from './setting.ts';
import { isTree } from './tree.ts';

const reference = /\$\$|\$\{([^}]*)\}/g;
const variable = /^env:([A-Za-z_]\w*)(?::-(.*))?$/s;

type Environment = {
  readonly env: NodeJS.ProcessEnv;
  /** Hears of each reference that cannot be replaced. */
  readonly report: (problem: ConfigProblem) => void;
  /** Whether what stands at a path may be repeated in a problem. */
  readonly open: (path: readonly string[]) => boolean;
};

/** The tree with every reference in its values replaced. */
export function substitute(tree: unknown, environment: Environment): unknown {
  const replace = (value: unknown, path: readonly string[]): unknown => {
    const text = asText(value);
    if (typeof text === 'string') {
      return text.includes('$') ? expand(text, path, environment) : value;
    }
    if (Array.isArray(value)) {
      return value.map((item, index) => replace(item, [...path, String(index)]));
    }
    if (!isTree(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, held]) => [name, replace(held, [...path, name])]),
    );
  };
  return replace(tree, []);
}

/** A reference to a variable, as it is written. */
export function fromEnv(name: string, preset = ''): string {
  return `\${env:${name}:-${preset}}`;
}

function expand(text: string, path: readonly string[], environment: Environment): unknown {
  const { env, report } = environment;
  let replacedAny = false;
  const expanded = text.replace(reference, (written: string, inner: string | undefined) => {
    if (inner === undefined) return '$';
    replacedAny = true;
    const [, name, preset] = variable.exec(inner) ?? [];
    const shown = environment.open(path) ? inner.split(':-')[0] : undefined;
    const value = shown === undefined ? undefined : `\${${shown}}`;
    const problem = { path: path.join('.'), value };
    if (name === undefined || preset?.includes('${')) {
      report({ ...problem, ...notAReference(shown) });
      return written;
    }
    const held = env[name] ?? preset;
    if (held === undefined) report({ ...problem, ...notSet(name) });
    return held ?? written;
  });
  return replacedAny ? substituted(expanded) : expanded;
}

function notSet(name: string) {
  return {
    expected: `the environment variable ${name}, which is not set`,
    hint: `set ${name}, or write a default: ${fromEnv(name, 'default')}`,
  };
}

function notAReference(shown = '') {
  const bare = /^[A-Za-z_]\w*/.exec(shown)?.[0];
  return {
    expected: `a reference such as ${fromEnv('NAME', 'default')}, without another in it`,
    hint:
      bare === undefined || bare === 'env'
        ? 'write $$ where a $ is meant'
        : `write \${env:${bare}}, or $$ where a $ is meant`,
  };
}
