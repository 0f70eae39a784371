/** Trees of plain maps, as YAML makes them. Nothing here changes a tree that it was given. */

export type Tree = { readonly [name: string]: unknown };

export function isTree(value: unknown): value is Tree {
  if (typeof value !== 'object' || value === null) return false;
  return Object.getPrototypeOf(value) === Object.prototype;
}

export function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  let value = tree;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<PropertyKey, unknown>)[name];
  }
  return value;
}

/** A tree with the one value at the path. A computed name is never taken for a prototype. */
export function treeOf(path: readonly string[], value: unknown): unknown {
  return path.reduceRight((inner, name) => ({ [name]: inner }), value);
}

/** The same tree with each value that is no map or list replaced. */
export function mapLeaves(value: unknown, replace: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapLeaves(item, replace));
  if (!isTree(value)) return replace(value);
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [name, mapLeaves(held, replace)]),
  );
}

/**
 * Both trees joined, maps name by name. The later wins; a list replaces a list. Null says nothing,
 * so that a section whose keys are all commented out keeps what was there.
 */
export function merge(earlier: unknown, later: unknown): unknown {
  if (later === null || later === undefined) return earlier;
  if (!isTree(earlier) || !isTree(later)) return later;
  const names = new Set([...Object.keys(earlier), ...Object.keys(later)]);
  return Object.fromEntries(
    [...names].map((name) => [name, merge(valueAt(earlier, [name]), valueAt(later, [name]))]),
  );
}

/** Whether a value is found within itself, where every walk through it would be endless. */
export function holdsItself(value: unknown, around: readonly unknown[] = []): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (around.includes(value)) return true;
  return Object.values(value).some((held) => holdsItself(held, [...around, value]));
}
