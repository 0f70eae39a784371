/** A configuration as text again. */
import { stringify } from 'yaml';
import { type Config, settingEntries } from './schema.ts';
import { writtenValue } from './setting.ts';
import { mapLeaves, merge, treeOf, valueAt } from './tree.ts';

/**
 * The whole configuration, for `print-config`. Secrets are `****`; all else loads as it was, so `$`
 * is written `$$`. JSON is for programs; it loads as well, since it is YAML.
 */
export function renderConfig(config: Config, format: 'yaml' | 'json' = 'yaml'): string {
  const tree = settingEntries
    .map(({ path, setting }) => {
      const written = writtenValue(valueAt(config, path), setting, { masked: true });
      return treeOf(path, mapLeaves(written, escapeDollars));
    })
    .reduce(merge);
  if (format === 'json') return `${JSON.stringify(tree, null, 2)}\n`;
  return stringify(tree, { lineWidth: 0 });
}

function escapeDollars(leaf: unknown): unknown {
  return typeof leaf === 'string' ? leaf.replaceAll('$', '$$$$') : leaf;
}
