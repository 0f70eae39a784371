/** API keys: who may send, and to which agents. */
import { createRoute } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { type KeyRecord, keyJson, type NewKey, type Store } from '../auth/auth.ts';
import { parseDurationMs } from '../core/duration.ts';
import { isoTime } from '../core/iso-time.ts';
import type { Rejection } from '../observability/observability.ts';
import { ProblemError } from './problem.ts';
import { ofProject } from './project-routes.ts';
import {
  type App,
  actorOf,
  base,
  createdResponse,
  type Deps,
  type Env,
  given,
  jsonBody,
  jsonResponse,
  logChange,
  onChanges,
  onReads,
  pageJson,
  problems,
  registryOf,
} from './routes.ts';
import {
  apiKey,
  createdKey,
  keyChange,
  newKey,
  pageOf,
  pageQuery,
  rejectionList,
  revoked,
  rotation,
  segment,
} from './schemas.ts';

const tags = ['API keys'];
const keys = `${base}/projects/{project}/api-keys`;
const ofKey = ofProject.extend({ key: segment.openapi({ description: 'The id of a key.' }) });
const keyResponse = jsonResponse('The key, as it is now.', apiKey);
const createdResponses = {
  201: createdResponse('The record, and the secret once.', createdKey),
  ...problems(...onChanges, 409),
};

const createKey = createRoute({
  method: 'post',
  path: keys,
  tags,
  summary: 'Make a key, or take one over that exists elsewhere',
  request: { params: ofProject, body: jsonBody(newKey) },
  responses: createdResponses,
});

const listKeys = createRoute({
  method: 'get',
  path: keys,
  tags,
  summary: 'List the keys of a project, oldest first, revoked ones never',
  request: { params: ofProject, query: pageQuery },
  responses: {
    200: jsonResponse('One page.', pageOf(apiKey, 'ApiKeys')),
    ...problems(...onReads, 400),
  },
});

const getKey = createRoute({
  method: 'get',
  path: `${keys}/{key}`,
  tags,
  summary: 'A key',
  request: { params: ofKey },
  responses: { 200: keyResponse, ...problems(...onReads) },
});

const changeKey = createRoute({
  method: 'patch',
  path: `${keys}/{key}`,
  tags,
  summary: 'Change the name of a key, the agents that it may reach, or both',
  request: { params: ofKey, body: jsonBody(keyChange) },
  responses: { 200: keyResponse, ...problems(...onChanges) },
});

const rotateKey = createRoute({
  method: 'post',
  path: `${keys}/{key}/rotate`,
  tags,
  summary: 'Make a new key that replaces this one, which works on for the grace',
  request: { params: ofKey, body: jsonBody(rotation) },
  responses: createdResponses,
});

const revokeKey = createRoute({
  method: 'delete',
  path: `${keys}/{key}`,
  tags,
  summary: 'Revoke a key for good; answers once no gateway accepts it any more',
  request: { params: ofKey },
  responses: { 200: jsonResponse('Revoked.', revoked), ...problems(...onReads) },
});

const listRejections = createRoute({
  method: 'get',
  path: `${keys}/{key}/rejections`,
  tags,
  summary: 'The last requests of a key that this gateway refused, newest first',
  request: { params: ofKey },
  responses: { 200: jsonResponse('Up to 20.', rejectionList), ...problems(...onReads) },
});

export function addKeyRoutes(app: App, deps: Deps): void {
  app.openapi(createKey, async (c) => {
    const store = registryOf(deps);
    const project = await store.projects.find(c.req.valid('param').project);
    const { key, agents, expires_at: expiresAt, name } = c.req.valid('json');
    const wanted: NewKey = {
      projectId: project.id,
      name,
      by: actorOf(c),
      ...(agents === undefined || agents === 'all' ? {} : { agents }),
      ...(expiresAt === undefined || expiresAt === null
        ? {}
        : { expiresAtMs: Date.parse(expiresAt) }),
    };
    const made =
      key === undefined
        ? await store.keys.create(wanted)
        : { record: await store.keys.importKey({ ...wanted, key }) };
    logChange(c, deps, {
      action: key === undefined ? 'key.create' : 'key.import',
      id: made.record.id,
    });
    return created(c, made);
  });
  app.openapi(listKeys, async (c) => {
    const store = registryOf(deps);
    const project = await store.projects.find(c.req.valid('param').project);
    const query = { ...given(c.req.valid('query')), projectId: project.id };
    return c.json(pageJson(await store.keys.list(query), keyJson), 200);
  });
  app.openapi(getKey, async (c) => {
    return c.json(keyJson(await keyOf(registryOf(deps), c.req.valid('param'))), 200);
  });
  app.openapi(listRejections, async (c) => {
    const { id } = await keyOf(registryOf(deps), c.req.valid('param'));
    return c.json({ items: deps.rejections.of(id).map(rejectionJson) }, 200);
  });
}

export function addKeyChangeRoutes(app: App, deps: Deps): void {
  app.openapi(changeKey, async (c) => {
    const store = registryOf(deps);
    let record = await keyOf(store, c.req.valid('param'));
    const { id } = record;
    const { name, agents } = given(c.req.valid('json'));
    const by = actorOf(c);
    if (agents !== undefined) {
      record = await store.keys.setScope(id, { agents, by, ...given({ name }) });
      if (name !== undefined) logChange(c, deps, { action: 'key.rename', id });
      logChange(c, deps, { action: 'key.scope', id });
    } else if (name !== undefined) {
      record = await store.keys.rename(id, { name, by });
      logChange(c, deps, { action: 'key.rename', id });
    }
    return c.json(keyJson(record), 200);
  });
  app.openapi(rotateKey, async (c) => {
    const store = registryOf(deps);
    const { id } = await keyOf(store, c.req.valid('param'));
    // What is too long for a number is too long for the registry, which says so.
    const graceMs = parseDurationMs(c.req.valid('json').grace) ?? Number.POSITIVE_INFINITY;
    const made = await store.keys.rotate(id, { graceMs, by: actorOf(c) });
    logChange(c, deps, { action: 'key.rotate', id: made.record.id });
    return created(c, made);
  });
  app.openapi(revokeKey, async (c) => {
    const store = registryOf(deps);
    const { project, key: id } = c.req.valid('param');
    const { id: projectId } = await store.projects.find(project);
    // One that is revoked already is not looked for here: the store says so once it is true.
    const change = { by: actorOf(c), projectId };
    const { effective, effectiveAfterMs } = await store.keys.revoke(id, change);
    logChange(c, deps, { action: 'key.revoke', id });
    return c.json({ effective, effective_after_ms: effectiveAfterMs }, 200);
  });
}

type KeyAt = { readonly project: string; readonly key: string };

/** A key of another project is not there: whoever asks has the wrong project in mind. */
async function keyOf(store: Store, at: KeyAt): Promise<KeyRecord> {
  const project = await store.projects.find(at.project);
  const record = await store.keys.get(at.key);
  if (record.projectId === project.id) return record;
  throw new ProblemError(404, 'look in another project: this one has no key of that id');
}

function created(
  c: Context<Env>,
  { record, key }: { readonly record: KeyRecord; readonly key?: string },
) {
  c.header('Location', `${base}/projects/${record.projectId}/api-keys/${record.id}`);
  return c.json({ ...keyJson(record), ...(key === undefined ? {} : { key }) }, 201);
}

function rejectionJson({ atMs, traceId, ...rest }: Rejection) {
  return { at: isoTime(atMs), ...rest, trace_id: traceId ?? null };
}
