/** The defaults: as written in YAML, and as they are where no environment variable is set. */
import { substitute } from './environment.ts';
import { type Config, configSchema, settingEntries } from './schema.ts';
import { merge, treeOf } from './tree.ts';

/** With `${env:…}` as written. */
export const presetTree: unknown = settingEntries
  .map(({ path, setting }) => treeOf(path, setting.preset))
  .reduce(merge);

/** The environment variable that a default is taken from, if any. */
export function variableBehind(path: string): string | undefined {
  const entry = settingEntries.find((each) => each.path.join('.') === path);
  return /\$\{env:(\w+)/.exec(String(entry?.setting.preset))?.[1];
}

/** To stand in for wrong values. */
export const spareTree: unknown = substitute(presetTree, {
  env: {},
  report() {},
  open: () => false,
});

export const spareConfig: Config = configSchema.parse(spareTree);
