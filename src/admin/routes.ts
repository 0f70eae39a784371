/** What all routes of the admin API share: how they are described, and what they work with. */
import type { HttpBindings } from '@hono/node-server';
import type { OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditAction, Page, Store } from '../auth/auth.ts';
import type { Log, Rejections } from '../observability/observability.ts';
import { ProblemError } from './problem.ts';
import { problem } from './schemas.ts';
import type { AdminStatus } from './status.ts';

export type Env = { Bindings: HttpBindings };
export type App = OpenAPIHono<Env>;

export type Deps = {
  /** Undefined in passthrough mode, where the next hop manages keys. */
  readonly store: Store | undefined;
  readonly rejections: Rejections;
  readonly status: () => AdminStatus | Promise<AdminStatus>;
  readonly log: Log;
};

export const base = '/admin/v1';

/** Throws a 404 where there is no registry. */
export function registryOf({ store }: Deps): Store {
  if (store !== undefined) return store;
  throw new ProblemError(404, 'manage keys at the next hop: this gateway keeps none');
}

/** For the audit: `api:127.0.0.1`. All who have the token are one; the address tells them apart. */
export function actorOf(c: Context<Env>): string {
  const address = c.env.incoming.socket.remoteAddress ?? 'unknown';
  return `api:${address.replace(/^::ffff:/, '')}`;
}

export type Change = { readonly action: AuditAction; readonly id: string };

/** One line for each change, beside the audit row that the store has written. */
export function logChange(c: Context<Env>, { log }: Deps, { action, id }: Change): void {
  log.info({ by: actorOf(c), action, subject_id: id }, 'the registry was changed');
}

/** What was sent, without the names of what was not. */
type Given<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

export function given<T extends object>(fields: T): Given<T> {
  const sent = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(sent) as Given<T>;
}

export function pageJson<T, Json>({ items, nextCursor }: Page<T>, json: (item: T) => Json) {
  const more = nextCursor === undefined ? {} : { next_cursor: nextCursor };
  return { items: items.map(json), ...more };
}

export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { content: { 'application/json': { schema } }, required: true } as const;
}

export function jsonResponse<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } } as const;
}

/** With the path of what was made. */
export function createdResponse<Schema extends z.ZodType>(description: string, schema: Schema) {
  const headers = { Location: { required: true, schema: { type: 'string' } } } as const;
  return { ...jsonResponse(description, schema), headers };
}

const problemWords = {
  400: 'The request is not shaped as described here; `errors` names each field.',
  401: 'The admin token is missing or wrong.',
  403: 'No token is set, and the request comes from another site or under another Host.',
  404: 'There is no such project, agent or key; or the next hop keeps them.',
  409: 'It is there already.',
  413: 'The body is over 64 KiB.',
  415: 'The body is not sent as application/json.',
  422: 'The request is well-formed, but a rule of the registry forbids it.',
  500: 'A fault of the gateway; its log has the cause.',
  503: 'The key store does not answer. Whether a change was made is not known.',
} as const;

type ProblemStatus = keyof typeof problemWords;

const problemHeaders: { readonly [status in ProblemStatus]?: string } = {
  401: 'WWW-Authenticate',
  503: 'Retry-After',
};

const onEveryRoute = [401, 403, 500] as const;
export const onReads = [404, 503] as const;
export const onChanges = [...onReads, 413, 415, 400, 422] as const;

/** The responses of a route that refuses: those of every route, and `more`. */
export function problems(...more: readonly ProblemStatus[]) {
  const statuses = [...onEveryRoute, ...more].sort((left, right) => left - right);
  return Object.fromEntries(statuses.map((status) => [status, problemResponse(status)]));
}

function problemResponse(status: ProblemStatus) {
  const header = problemHeaders[status];
  return {
    description: problemWords[status],
    content: { 'application/problem+json': { schema: problem } },
    ...(header === undefined
      ? {}
      : { headers: { [header]: { required: true, schema: { type: 'string' as const } } } }),
  };
}
