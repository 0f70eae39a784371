/** A configuration as YAML again. */
import { stringify } from 'yaml';
import { type Config, settingEntries } from './schema.ts';
import { isTree, merge, treeOf, valueAt } from './tree.ts';

/**
 * The whole configuration, for `print-config`. Secrets are `****`; all else loads as it was, so `$`
 * is written `$$`.
 */
export function renderConfig(config: Config): string {
  const tree = settingEntries
    .map(({ path, setting: { write, mask } }) => {
      const value = valueAt(config, path);
      const written = write === undefined ? value : write(value as never);
      return treeOf(path, escapeDollars(mask === undefined ? written : mask(written)));
    })
    .reduce(merge);
  return stringify(tree, { lineWidth: 0 });
}

function escapeDollars(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (Array.isArray(value)) return value.map(escapeDollars);
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [name, escapeDollars(held)]),
  );
}
