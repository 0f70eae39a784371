/**
 * The admin API as a function from request to response: what every request passes, then its route.
 *
 *   noStore     nothing here is for a cache, and a new key least of all
 *   guard       before anything is read: a stranger learns not even which paths there are
 *   readBody    JSON only, as no form on a page can send it; 64 KiB at most
 *   routes      check what came by the schemas of the document, call the store, answer
 *   fallback    404, or 405 where the path is known
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { readBody } from './body.ts';
import { addDocument } from './document.ts';
import { findingsOf } from './findings.ts';
import { createGuard } from './guard.ts';
import { addInsightRoutes } from './insight-routes.ts';
import { addKeyChangeRoutes, addKeyRoutes } from './key-routes.ts';
import { ProblemError, problemOf, renderProblem } from './problem.ts';
import { addAgentRoutes, addProjectRoutes } from './project-routes.ts';
import type { App, Deps, Env } from './routes.ts';

export function createApp(deps: Deps & { readonly token: string }): App {
  const app: App = new OpenAPIHono<Env>({
    defaultHook(result) {
      if (result.success) return;
      const errors = findingsOf(result.error);
      throw new ProblemError(400, 'correct the fields in errors', { errors });
    },
  });
  app.onError((thrown) => renderProblem(problemOf(thrown, deps.log)));
  app.use(noStore, createGuard(deps.token), readBody);
  addProjectRoutes(app, deps);
  addAgentRoutes(app, deps);
  addKeyRoutes(app, deps);
  addKeyChangeRoutes(app, deps);
  addInsightRoutes(app, deps);
  addDocument(app, { hasToken: deps.token !== '' });
  addFallback(app);
  return app;
}

const noStore: MiddlewareHandler = async (c, next) => {
  await next();
  c.res.headers.set('cache-control', 'no-store');
  c.res.headers.set('x-content-type-options', 'nosniff');
};

function addFallback(app: App): void {
  const paths = [...new Set(app.routes.map(({ path }) => path))].filter((path) => path !== '/*');
  for (const path of paths) {
    const methods = app.routes.filter((route) => route.path === path).map(({ method }) => method);
    const allow = [...new Set(methods.flatMap((it) => (it === 'GET' ? [it, 'HEAD'] : [it])))];
    const headers = { allow: [...allow, 'OPTIONS'].join(', ') };
    app.all(path, (c) => {
      if (c.req.method === 'OPTIONS') return c.body(null, 204, headers);
      throw new ProblemError(405, `use one of the methods ${headers.allow} here`, { headers });
    });
  }
  app.notFound(() => renderProblem(nothingHere()));
}

function nothingHere(): ProblemError {
  return new ProblemError(404, 'look into /admin/v1/openapi.json: nothing is served at this path');
}
