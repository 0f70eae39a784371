/** What happened and how it goes: the audit and the state of this gateway. */
import { createRoute } from '@hono/zod-openapi';
import { auditJson } from '../auth/auth.ts';
import {
  type App,
  base,
  type Deps,
  given,
  jsonResponse,
  onReads,
  pageJson,
  problems,
  registryOf,
} from './routes.ts';
import { auditEntry, auditQuery, pageOf } from './schemas.ts';
import { status } from './status.ts';

const listAudit = createRoute({
  method: 'get',
  path: `${base}/audit`,
  tags: ['Audit'],
  summary: 'Every change of the registry, newest first',
  request: { query: auditQuery },
  responses: {
    200: jsonResponse('One page.', pageOf(auditEntry, 'Audit')),
    ...problems(...onReads, 400),
  },
});

const getStatus = createRoute({
  method: 'get',
  path: `${base}/status`,
  tags: ['Status'],
  summary: 'The state of this gateway',
  responses: { 200: jsonResponse('Its state.', status), ...problems() },
});

export function addInsightRoutes(app: App, deps: Deps): void {
  app.openapi(listAudit, async (c) => {
    const store = registryOf(deps);
    const { project, subject, ...page } = given(c.req.valid('query'));
    const projectId = project === undefined ? undefined : (await store.projects.find(project)).id;
    const query = { ...page, ...given({ projectId, subjectId: subject }) };
    return c.json(pageJson(await store.audit.list(query), auditJson), 200);
  });
  app.openapi(getStatus, async (c) => c.json(await deps.status(), 200));
}
