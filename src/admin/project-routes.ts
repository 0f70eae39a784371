/** Projects and their agents. */
import { createRoute, z } from '@hono/zod-openapi';
import { agentJson, projectJson } from '../auth/auth.ts';
import {
  type App,
  actorOf,
  base,
  createdResponse,
  type Deps,
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
import { agent, newAgent, newProject, pageOf, pageQuery, project, segment } from './schemas.ts';

const projects = `${base}/projects`;
export const ofProject = z.object({
  project: segment.openapi({ description: 'The id or the name of a project.' }),
});

const addProject = createRoute({
  method: 'post',
  path: projects,
  tags: ['Projects'],
  summary: 'Add a project',
  request: { body: jsonBody(newProject) },
  responses: { 201: createdResponse('The project.', project), ...problems(...onChanges, 409) },
});

const listProjects = createRoute({
  method: 'get',
  path: projects,
  tags: ['Projects'],
  summary: 'List the projects, oldest first',
  request: { query: pageQuery },
  responses: {
    200: jsonResponse('One page.', pageOf(project, 'Projects')),
    ...problems(...onReads, 400),
  },
});

const getProject = createRoute({
  method: 'get',
  path: `${projects}/{project}`,
  tags: ['Projects'],
  summary: 'A project',
  request: { params: ofProject },
  responses: { 200: jsonResponse('The project.', project), ...problems(...onReads) },
});

const addAgent = createRoute({
  method: 'post',
  path: `${projects}/{project}/agents`,
  tags: ['Agents'],
  summary: 'Add an agent, by the id that Mibo gave it',
  request: { params: ofProject, body: jsonBody(newAgent) },
  responses: { 201: createdResponse('The agent.', agent), ...problems(...onChanges, 409) },
});

const listAgents = createRoute({
  method: 'get',
  path: `${projects}/{project}/agents`,
  tags: ['Agents'],
  summary: 'List the agents of a project, oldest first',
  request: { params: ofProject, query: pageQuery },
  responses: {
    200: jsonResponse('One page.', pageOf(agent, 'Agents')),
    ...problems(...onReads, 400),
  },
});

const removeAgent = createRoute({
  method: 'delete',
  path: `${projects}/{project}/agents/{agent}`,
  tags: ['Agents'],
  summary: 'Remove an agent; keys that were scoped to it lose it',
  request: { params: ofProject.extend({ agent: segment }) },
  responses: {
    204: { description: 'No gateway sends anything to it any more.' },
    ...problems(...onReads, 422),
  },
});

export function addProjectRoutes(app: App, deps: Deps): void {
  app.openapi(addProject, async (c) => {
    const added = await registryOf(deps).projects.add({
      name: c.req.valid('json').name,
      by: actorOf(c),
    });
    logChange(c, deps, { action: 'project.add', id: added.id });
    c.header('Location', `${projects}/${added.id}`);
    return c.json(projectJson(added), 201);
  });
  app.openapi(listProjects, async (c) => {
    const page = await registryOf(deps).projects.list(given(c.req.valid('query')));
    return c.json(pageJson(page, projectJson), 200);
  });
  app.openapi(getProject, async (c) => {
    const found = await registryOf(deps).projects.find(c.req.valid('param').project);
    return c.json(projectJson(found), 200);
  });
}

export function addAgentRoutes(app: App, deps: Deps): void {
  app.openapi(addAgent, async (c) => {
    const { projects: all, agents } = registryOf(deps);
    const { id: projectId } = await all.find(c.req.valid('param').project);
    const added = await agents.add({ ...c.req.valid('json'), projectId, by: actorOf(c) });
    logChange(c, deps, { action: 'agent.add', id: added.id });
    c.header('Location', `${projects}/${projectId}/agents/${added.id}`);
    return c.json(agentJson(added), 201);
  });
  app.openapi(listAgents, async (c) => {
    const { projects: all, agents } = registryOf(deps);
    const { id: projectId } = await all.find(c.req.valid('param').project);
    const page = await agents.list({ ...given(c.req.valid('query')), projectId });
    return c.json(pageJson(page, agentJson), 200);
  });
  app.openapi(removeAgent, async (c) => {
    const { projects: all, agents } = registryOf(deps);
    const { project: name, agent: id } = c.req.valid('param');
    const { id: projectId } = await all.find(name);
    await agents.remove({ projectId, id, by: actorOf(c) });
    logChange(c, deps, { action: 'agent.remove', id: id.toLowerCase() });
    return c.body(null, 204);
  });
}
