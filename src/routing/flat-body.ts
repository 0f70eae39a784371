/**
 * Where a flat body of Your API names its agent: `platformId`, `metadata.mibo.platform_id` as
 * nested objects, and the literal dotted key `metadata["mibo.platform_id"]`.
 */
import { type ErrorDetail, GatewayError } from '../core/errors.ts';
import { type NamedTarget, targetOfText } from '../core/target.ts';

/** A named target and where it stands, in words that a hint can use. */
export type NamedAt = { readonly target: NamedTarget; readonly where: string };

type Fields = Readonly<Record<string, unknown>>;

/** A place that can name the agent: the object that holds the field, and its path for a person. */
type Place = { readonly holder: Fields; readonly field: string; readonly path: string };

/** The named target of a flat body, or undefined if it names none. Throws on a contradiction. */
export function flatTarget(body: Fields, attribute: string): NamedAt | undefined {
  const named = places(body, attribute).flatMap(({ holder, field, path }) => {
    const target = targetOfValue(holder[field]);
    return target.kind === 'absent' ? [] : [{ target, where: path }];
  });
  const [first, ...others] = named;
  const differing = others.find((other) => first && text(other.target) !== text(first.target));
  if (first && differing) throw contradiction([first, differing]);
  return first;
}

/** The body with the resolved agent everywhere it names one, and always in `platformId`. */
export function nameAgent(body: Fields, agentId: string, attribute: string): Fields {
  if (agentId === '') return body;
  const copy = copyAlong(body, ['metadata', ...attribute.split('.').slice(0, -1)]);
  for (const { holder, field } of places(copy, attribute)) {
    if (Object.hasOwn(holder, field)) (holder as Record<string, unknown>)[field] = agentId;
  }
  copy.platformId = agentId;
  return copy;
}

/** A copy that is new along `path` only: the sender's own object is never changed. */
function copyAlong(value: Fields, path: readonly string[]): Record<string, unknown> {
  const copy = { ...value };
  const [next, ...rest] = path;
  const inner = next === undefined ? undefined : copy[next];
  if (next !== undefined && isObject(inner)) copy[next] = copyAlong(inner, rest);
  return copy;
}

function places(body: Fields, attribute: string): Place[] {
  const found: Place[] = [{ holder: body, field: 'platformId', path: 'platformId' }];
  const { metadata } = body;
  if (!isObject(metadata)) return found;
  const parents = attribute.split('.');
  const leaf = parents.pop() ?? attribute;
  let holder: unknown = metadata;
  for (const parent of parents) {
    holder = isObject(holder) && Object.hasOwn(holder, parent) ? holder[parent] : undefined;
  }
  if (parents.length > 0 && isObject(holder)) {
    found.push({ holder, field: leaf, path: `metadata.${attribute}` });
  }
  found.push({ holder: metadata, field: attribute, path: `metadata["${attribute}"]` });
  return found;
}

function targetOfValue(value: unknown): NamedTarget {
  if (value === undefined || value === null) return { kind: 'absent' };
  if (typeof value === 'string') return targetOfText(value);
  return { kind: 'unusable', found: JSON.stringify(value) };
}

function text(target: NamedTarget): string {
  if (target.kind === 'named') return target.value.toLowerCase();
  return target.kind === 'unusable' ? target.found : '';
}

function contradiction(named: readonly NamedAt[]): GatewayError {
  const details: ErrorDetail[] = named.map(({ where }) => ({
    location: 'body',
    msg: 'names another agent than the rest of the body',
    path: where,
    type: 'field',
  }));
  const paths = named.map(({ where }) => where).join(' and ');
  return new GatewayError('malformed', `name one agent only: ${paths} name different ones`, {
    details,
  });
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
