/** A configuration as YAML again. */
import { stringify } from 'yaml';
import { type Config, settingEntries } from './schema.ts';
import { writtenValue } from './setting.ts';
import { mapLeaves, merge, treeOf, valueAt } from './tree.ts';

/**
 * The whole configuration, for `print-config`. Secrets are `****`; all else loads as it was, so `$`
 * is written `$$`.
 */
export function renderConfig(config: Config): string {
  const tree = settingEntries
    .map(({ path, setting }) => {
      const written = writtenValue(valueAt(config, path), setting, { masked: true });
      return treeOf(path, mapLeaves(written, escapeDollars));
    })
    .reduce(merge);
  return stringify(tree, { lineWidth: 0 });
}

function escapeDollars(leaf: unknown): unknown {
  return typeof leaf === 'string' ? leaf.replaceAll('$', '$$$$') : leaf;
}
