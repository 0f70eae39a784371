/**
 * The texts of routing's refusals. Each starts with the fix, since some exporters show only the
 * first 120 characters. Agents are named only to a valid key that may reach them.
 */
import { GatewayError } from '../core/errors.ts';
import type { Tenant } from '../core/tenant.ts';

/** A key in the wrong field, percent-encoded or not, must not end up in a log or an answer. */
const keyShaped = /mibo(?:_|%5f)[\w%-]+/gi;
/** As long as the shortest key: it may be one without its prefix, or wholly percent-encoded. */
const longRun = /[\w%-]{16,}/g;
const hexRun = /^[\da-f-]+$/i;

/** How the request came in, which decides what its sender can change. */
export type Door =
  | { readonly kind: 'otlp'; readonly attribute: string }
  | { readonly kind: 'flat' };

const agentsNamedMax = 5;
const nameCharsMax = 40;
/** Leaves room for the stable code under the error's own limit. */
const hintCharsMax = 470;

export function notFound(tenant: Tenant, door: Door): GatewayError {
  // A scoped key stands first: some tools ignore OTEL_RESOURCE_ATTRIBUTES altogether.
  const cure =
    door.kind === 'otlp'
      ? 'use a key scoped to one agent, or set OTEL_RESOURCE_ATTRIBUTES=' +
        `${door.attribute}=<agent uuid>.`
      : 'use a key scoped to one agent, or send "platformId": "<agent uuid>" in the body.';
  return new GatewayError('platform_not_found', withReach(cure, tenant), {
    details:
      door.kind === 'flat'
        ? [{ location: 'body', msg: 'names no agent', path: 'platformId', type: 'field' }]
        : [],
  });
}

export function notAllowed(tenant: Tenant): GatewayError {
  const cure = 'name an agent that this key may use: the key is restricted to others.';
  return new GatewayError('platform_not_allowed', withReach(cure, tenant));
}

export function notUuid(found: string, where: string): GatewayError {
  const shown = clipTo(withoutKeys(found), 80);
  return new GatewayError(
    'malformed',
    `write the agent's id as a plain UUID (no quotes or spaces) in ${where}: found ${shown}`,
  );
}

function withoutKeys(text: string): string {
  return text
    .replace(keyShaped, 'mibo_...')
    .replace(longRun, (run) =>
      hexRun.test(run) ? run : `${run.slice(0, 4)}... (${run.length} characters)`,
    );
}

export function scopeWarning(tenant: Tenant, only: string): string {
  const agent = `${only} (${clip(tenant.agents.get(only) ?? '')})`;
  return (
    `remove or correct the agent named in the request: this key ("${clip(tenant.keyName)}") is ` +
    `restricted to ${agent}, and the spans went there`
  );
}

/** The cure, then which agents the key may use: as many of the first five as fit. */
function withReach(cure: string, tenant: Tenant): string {
  const key = `This key ("${clip(tenant.keyName)}")`;
  if (tenant.agents.size === 0) {
    return `${cure} ${key} may use no agent yet: register one in its project or widen its scope`;
  }
  let text = `${cure} ${key} may use: `;
  let named = 0;
  for (const [id, name] of tenant.agents) {
    const entry = `${named === 0 ? '' : ', '}${id} (${clip(name)})`;
    if (named === agentsNamedMax || text.length + entry.length > hintCharsMax) break;
    text += entry;
    named += 1;
  }
  return named < tenant.agents.size ? `${text}, …` : text;
}

function clip(name: string): string {
  return clipTo(name, nameCharsMax);
}

function clipTo(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
}
