/**
 * The configuration: every setting, its type, default and limits.
 *
 * Promise: `loadConfig` gives a complete and valid `Config` or throws one `ConfigError` that names
 * all problems, each with its place, what was expected and the cure. An unknown name, or a setting
 * of a feature that this version does not have, is a problem and never ignored. No message and no
 * rendered configuration shows a secret.
 *
 * Does not watch files, and does not look at the world: paths stay as written, relative to the
 * working directory of the process, and nothing is opened but the files that are named.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { storeUrlIsUsed } from './check-auth.ts';
import { substitute } from './environment.ts';
import { type Layer, readLayer, setLayer } from './layers.ts';
import { presetTree, variableBehind } from './presets.ts';
import { ConfigError, type ConfigProblem } from './problems.ts';
import { type Config, isOpen } from './schema.ts';
import { merge } from './tree.ts';
import { validate } from './validate.ts';

export { redisInUse } from './check-auth.ts';
export { ConfigError, type ConfigProblem, formatProblems } from './problems.ts';
export { renderConfig } from './render.ts';
export type { Config } from './schema.ts';

export type LoadOptions = {
  /** YAML files, merged in order; the later wins, a list replaces a list. None: the defaults. */
  readonly files: readonly string[];
  /** `a.b=value`, merged last. */
  readonly sets: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What relative file names start from; the process's own by default. */
  readonly cwd?: string;
};

/** Reads, merges, substitutes `${env:…}` and validates. Throws `ConfigError` with all problems. */
export function loadConfig(options: LoadOptions): Config {
  const { files, sets, env, cwd = process.cwd() } = options;
  const problems: ConfigProblem[] = [];
  const report = (problem: ConfigProblem) => void problems.push(problem);
  const layers = [
    ...files.map((file) => readLayer(file, cwd, report)),
    ...sets.map((argument) => setLayer(argument, report)),
  ].filter((layer) => layer !== undefined);
  const merged = layers.map(({ tree }) => tree).reduce(merge, presetTree);
  const substituted = substitute(merged, { env, report, open: isOpen });
  const { config, problems: invalid } = validate(substituted);
  for (const problem of [...invalid, ...storeUrlIsUsed(config, merged)]) {
    if (!problems.some(({ path }) => path === problem.path)) problems.push(problem);
  }
  if (problems.length === 0) return config;
  throw new ConfigError(problems.map((problem) => withPlace(problem, layers)));
}

/** The configuration without any file. */
export function defaultConfig(env: NodeJS.ProcessEnv): Config {
  return loadConfig({ files: [], sets: [], env });
}

/**
 * The files of a command: those given, else `./config/gateway.yaml` where it exists and then
 * `$MIBO_CONFIG` where it is set, so that the latter wins.
 */
export function findConfigFiles(
  given: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string },
): readonly string[] {
  if (given.length > 0) return given;
  const own = 'config/gateway.yaml';
  const named = options.env.MIBO_CONFIG;
  const exists = existsSync(resolve(options.cwd ?? process.cwd(), own));
  return [...(exists ? [own] : []), ...(named ? [named] : [])];
}

function withPlace(problem: ConfigProblem, layers: readonly Layer[]): ConfigProblem {
  if (problem.at !== undefined || problem.path === '') return problem;
  const places = layers.map((layer) => layer.locate(problem.path));
  const variable = variableBehind(problem.path);
  const at = places.findLast((place) => place !== undefined) ?? (variable && `$${variable}`);
  return at === undefined ? problem : { ...problem, at };
}
