/** From a tree to a `Config`, or to everything that is wrong with it. */
import type { z } from 'zod';
import { checkTogether, type JointProblem } from './check.ts';
import { nearestHint } from './nearest.ts';
import { presetTree, spareTree } from './presets.ts';
import { type ConfigProblem, maskPasted } from './problems.ts';
import { type Config, configSchema, type Entry, entries, settingEntries } from './schema.ts';
import { asText, type Setting } from './setting.ts';
import { isTree, mapLeaves, merge, treeOf, valueAt } from './tree.ts';
import { checkAvailable } from './unavailable.ts';

export type Validated = { readonly config: Config; readonly problems: readonly ConfigProblem[] };

/**
 * Checks a whole tree (defaults included). `config` is complete in any case, with defaults in place
 * of wrong values, so that what depends on several settings is checked in the same run.
 */
export function validate(tree: unknown): Validated {
  const issues = configSchema.safeParse(tree).error?.issues ?? [];
  const wrong = issues.flatMap((issue) => problemsOf(issue, tree));
  const config = configSchema.parse(validPart(tree));
  const known = new Set(wrong.map(({ path }) => path));
  const joint: JointProblem[] = [...checkAvailable(config), ...checkTogether(config)];
  const news = joint
    .filter(({ path, against }) => !known.has(path) && !known.has(against ?? path))
    .map(({ against: _, ...problem }) => problem);
  return { config, problems: oncePerPath([...wrong, ...news]) };
}

function validPart(tree: unknown): unknown {
  return settingEntries
    .map(({ path, schema }) => {
      const value = valueAt(tree, path);
      return treeOf(path, schema.safeParse(value).success ? value : valueAt(spareTree, path));
    })
    .reduce(merge);
}

function oncePerPath(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const seen = new Set<string>();
  return problems.filter(({ path }) => !seen.has(path) && seen.add(path));
}

function problemsOf(issue: z.core.$ZodIssue, tree: unknown): ConfigProblem[] {
  const path = issue.path.map(String);
  const entry = deepestEntry(path);
  if (entry?.setting !== undefined) return [settingProblem(path, entry.setting, tree)];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.flatMap((key) => {
      const unknown = [...path, key];
      return leavesOf(valueAt(tree, unknown), unknown).map(unknownProblem);
    });
  }
  const names = Object.keys(valueAt(presetTree, path) as object).join(', ');
  const expected = `a section with the names ${names}`;
  return [{ path: path.join('.'), value: undefined, expected }];
}

function deepestEntry(path: readonly string[]): Entry | undefined {
  return entries.findLast((entry) => entry.path.every((name, index) => name === path[index]));
}

function settingProblem(path: readonly string[], setting: Setting, tree: unknown): ConfigProblem {
  const value = mapLeaves(valueAt(tree, path), asText);
  const hint = typeof value === 'object' ? undefined : setting.hint?.(value);
  return {
    path: path.join('.'),
    value: maskPasted(setting.mask?.(value) ?? value),
    expected: setting.expected,
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The paths of all values below one that is unknown, so that each gets its own suggestion. */
function leavesOf(value: unknown, path: readonly string[]): readonly (readonly string[])[] {
  if (!isTree(value) || Object.keys(value).length === 0) return [path];
  return Object.entries(value).flatMap(([name, held]) => leavesOf(held, [...path, name]));
}

/** What stands there is not repeated: it may be a secret whose name is misspelt. */
function unknownProblem(path: readonly string[]): ConfigProblem {
  const hint = nearestHint(path);
  return {
    path: path.join('.'),
    value: undefined,
    expected: 'the name of a setting',
    ...(hint === undefined ? {} : { hint }),
  };
}
