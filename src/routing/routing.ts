/**
 * The routing rule: tenant + what a request names → one agent, or a refusal with the fix.
 *
 * Pure: no I/O, no clock. The same rule on every path:
 *   1. a key scoped to a single agent: that agent;
 *   2. else the target that the request names: OTLP resource attribute, then header; on Your API
 *      `platformId`, `metadata.mibo.platform_id` (nested, then dotted), then header;
 *   3. else a refusal with a hint.
 * Invariant: an agent that is not in `tenant.agents` is never returned (but for `next_hop`, where
 * the next gateway applies this rule). A malformed id is refused even where the scope already
 * decides.
 */
import { GatewayError } from '../core/errors.ts';
import { type NamedTarget, targetOfText } from '../core/target.ts';
import type { Tenant } from '../core/tenant.ts';
import { flatTarget, type NamedAt } from './flat-body.ts';
import { type Door, notAllowed, notFound, notUuid, scopeWarning } from './hints.ts';

export { nameAgent } from './flat-body.ts';

export type RoutingOptions = {
  /** Resource attribute that names the target: `mibo.platform_id`. */
  readonly attribute: string;
  /** Header that names it where a tool cannot set resource attributes. */
  readonly header: string;
  /** What happens when a single-agent key names another agent. */
  readonly onScopeConflict: 'use_scope' | 'reject';
};

export type Verdict =
  | { readonly kind: 'agent'; readonly agentId: string; readonly warning?: string }
  | { readonly kind: 'refused'; readonly error: GatewayError };

/** The part of a walked resource that routing needs. */
export type RoutableResource = { readonly items: number; readonly target: NamedTarget };

export type Routed = {
  /** Per resource: its agent; undefined where it is refused or has no items. */
  readonly agentOf: readonly (string | undefined)[];
  readonly rejectedItems: number;
  /** The first refusal, if some resources were refused. */
  readonly refusal: GatewayError | undefined;
  /** Where resources went whose agent was overruled; '' if there are none. */
  readonly warning: string;
  /** The fix of the first refusal, or the warning; '' if there is nothing to say. */
  readonly message: string;
  /** Resources whose named agent was overruled by the key's scope. */
  readonly conflicts: number;
};

export type Routing = {
  /** One verdict per resource. Throws `GatewayError` where not a single one resolves. */
  routeExport(request: {
    readonly tenant: Tenant;
    readonly header: string | undefined;
    readonly resources: readonly RoutableResource[];
  }): Routed;
  /** The target of a flat body of Your API. Throws `GatewayError`. */
  routeFlat(request: {
    readonly tenant: Tenant;
    readonly header: string | undefined;
    readonly body: Readonly<Record<string, unknown>>;
  }): { readonly agentId: string; readonly warning?: string };
};

/** More distinct targets than this in one request are refused as a whole. */
const targetsMax = 1_000;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function createRouting(options: RoutingOptions): Routing {
  const otlpDoor: Door = { kind: 'otlp', attribute: options.attribute };
  const flatDoor: Door = { kind: 'flat' };
  return {
    routeExport({ tenant, header, resources }) {
      const verdictOf = memoize((target) => {
        const named =
          target.kind === 'absent' ? headerTarget(options, header) : at(target, options.attribute);
        return resolve(options, { tenant, named, door: otlpDoor });
      });
      return collect(resources, verdictOf);
    },
    routeFlat({ tenant, header, body }) {
      const inBody = flatTarget(body, options.attribute);
      const named = inBody ?? headerTarget(options, header);
      const verdict = resolve(options, { tenant, named, door: flatDoor });
      if (verdict.kind === 'refused') throw verdict.error;
      return verdict;
    },
  };
}

function at(target: NamedTarget, attribute: string): NamedAt {
  return { target, where: `the resource attribute ${attribute}` };
}

function headerTarget(options: RoutingOptions, header: string | undefined): NamedAt {
  return { target: targetOfText(header), where: `the header ${options.header}` };
}

type Question = { readonly tenant: Tenant; readonly named: NamedAt; readonly door: Door };

function resolve(options: RoutingOptions, { tenant, named, door }: Question): Verdict {
  const { target } = named;
  if (target.kind === 'unusable') return refused(notUuid(target.found, named.where));
  if (target.kind === 'named' && !uuid.test(target.value)) {
    return refused(notUuid(JSON.stringify(target.value), named.where));
  }
  const wanted = target.kind === 'named' ? target.value.toLowerCase() : undefined;
  if (tenant.scope === 'next_hop') return { kind: 'agent', agentId: wanted ?? '' };
  const only = singleAgent(tenant);
  if (only !== undefined && (wanted === undefined || wanted === only)) {
    return { kind: 'agent', agentId: only };
  }
  if (only !== undefined && options.onScopeConflict === 'use_scope') {
    return { kind: 'agent', agentId: only, warning: scopeWarning(tenant, only) };
  }
  if (wanted === undefined) return refused(notFound(tenant, door));
  if (tenant.agents.has(wanted)) return { kind: 'agent', agentId: wanted };
  return refused(notAllowed(tenant));
}

function refused(error: GatewayError): Verdict {
  return { kind: 'refused', error };
}

/** The agent of a key that is scoped to exactly one; a project with one agent is not a scope. */
function singleAgent(tenant: Tenant): string | undefined {
  if (tenant.scope !== 'agents' || tenant.agents.size !== 1) return undefined;
  return tenant.agents.keys().next().value;
}

/** One verdict per distinct target: a request of many small resources costs one look each. */
function memoize(judge: (target: NamedTarget) => Verdict): (target: NamedTarget) => Verdict {
  const verdicts = new Map<string, Verdict>();
  return (target) => {
    const name = nameOf(target);
    const known = verdicts.get(name);
    if (known !== undefined) return known;
    if (verdicts.size >= targetsMax) {
      throw new GatewayError(
        'malformed',
        `send at most ${targetsMax} agents in one request: this one names more`,
      );
    }
    const verdict = judge(target);
    verdicts.set(name, verdict);
    return verdict;
  };
}

/** Tells the kinds apart too: a named target is not empty, and one with a NUL is refused anyway. */
function nameOf(target: NamedTarget): string {
  if (target.kind === 'named') return target.value;
  return target.kind === 'absent' ? '' : `\0${target.found}`;
}

function collect(
  resources: readonly RoutableResource[],
  verdictOf: (target: NamedTarget) => Verdict,
): Routed {
  const agentOf: (string | undefined)[] = new Array(resources.length);
  const refusals: GatewayError[] = [];
  let rejectedItems = 0;
  let resolved = 0;
  let conflicts = 0;
  let warning = '';
  resources.forEach((resource, index) => {
    if (resource.items === 0) return;
    const verdict = verdictOf(resource.target);
    if (verdict.kind === 'refused') {
      refusals.push(verdict.error);
      rejectedItems += resource.items;
      return;
    }
    resolved += 1;
    agentOf[index] = verdict.agentId;
    if (verdict.warning === undefined) return;
    conflicts += 1;
    warning = verdict.warning;
  });
  if (resolved === 0 && refusals.length > 0) throw wholeRefusal(refusals);
  const [refusal] = refusals;
  const message = refusal?.message ?? warning;
  return { agentOf, rejectedItems, refusal, warning, message, conflicts };
}

/** 403 if every resource is out of reach; else the first that needs another fix. */
function wholeRefusal(refusals: readonly GatewayError[]): GatewayError | undefined {
  return refusals.find((error) => error.kind !== 'platform_not_allowed') ?? refusals[0];
}
