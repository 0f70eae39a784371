/** The known name that was probably meant by an unknown one. */
import { entries } from './schema.ts';

/** The Collector's sections that this gateway has under another name, or needs not. */
const elsewhere: Readonly<Record<string, string>> = {
  exporters: 'the gateway has one exporter: set downstream',
  processors: 'the gateway has no processors: batches are set at delivery.batch',
  extensions: 'the gateway has no extensions: see auth and telemetry.health',
  service: 'the gateway has one fixed pipeline: see signals and telemetry',
};

/** A sentence that names what to write instead, where something comes near. */
export function nearestHint(path: readonly string[]): string | undefined {
  const levels = path.flatMap((name) => name.split('.'));
  const name = levels.join('.');
  if (levels.length > path.length && entries.some((entry) => entry.path.join('.') === name)) {
    return `write each level of ${name} on a line of its own, indented under the one before`;
  }
  const first = levels[0] as string;
  // `constructor` is a name that every object has.
  if (Object.hasOwn(elsewhere, first)) return elsewhere[first];
  const nearest = nearestPath(levels);
  return nearest === undefined ? undefined : `did you mean ${nearest}?`;
}

/** Beyond one missing or surplus level and a few letters, a suggestion is only noise. */
const distanceMax = 1.5;

function nearestPath(path: readonly string[]): string | undefined {
  const name = path.join('.');
  const ranked = entries
    .filter((entry) => !name.startsWith(`${entry.path.join('.')}.`))
    .map((entry) => ({ name: entry.path.join('.'), distance: pathDistance(path, entry.path) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best !== undefined && best.distance <= distanceMax) return best.name;
  // Right name, wrong place: only helpful where the name is the only one of its kind.
  const last = path.at(-1);
  const sameName = entries.filter((entry) => entry.path.at(-1) === last);
  return sameName.length === 1 ? sameName[0]?.path.join('.') : undefined;
}

/** Steps from one path to the other: a level more or less is 1, another name up to 2. */
function pathDistance(from: readonly string[], to: readonly string[]): number {
  return editDistance(from, to, (a, b) => {
    if (a === b) return 0;
    const letters = editDistance([...a], [...b], (x, y) => (x === y ? 0 : 1));
    return (2 * letters) / Math.max(a.length, b.length);
  });
}

/** Levenshtein's distance, with a price for replacing one item by another. */
function editDistance<T>(
  from: readonly T[],
  to: readonly T[],
  replacePrice: (a: T, b: T) => number,
): number {
  let previous = to.map((_, index) => index + 1);
  previous.unshift(0);
  for (const [row, item] of from.entries()) {
    const current = [row + 1];
    for (const [column, other] of to.entries()) {
      current.push(
        Math.min(
          (previous[column] as number) + replacePrice(item, other),
          (previous[column + 1] as number) + 1,
          (current[column] as number) + 1,
        ),
      );
    }
    previous = current;
  }
  return previous.at(-1) as number;
}
