/** What every kind of store keeps of projects and agents. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { by, type OpenStore, refuses, withAgents, withProject } from './store-under-test.ts';

export function agentsContract(open: OpenStore): void {
  describe('projects and agents', () => {
    test('a project is found by its id and by its name', async () => {
      const { store, project } = await withProject(open);
      expect(await store.projects.find(project.id)).toEqual(project);
      expect(await store.projects.find('shop')).toEqual(project);
      await refuses(store.projects.find('other'), 'not_found');
    });

    test('a project name is taken once, and never looks like an id', async () => {
      const { store } = await withProject(open);
      await refuses(store.projects.add({ name: ' shop ', by }), 'conflict');
      await refuses(store.projects.add({ name: 'prj_x', by }), 'invalid');
      await refuses(store.projects.add({ name: '  ', by }), 'invalid');
    });

    test('a project name can stand in a URL: "." and ".." would lead elsewhere', async () => {
      const { store } = await withProject(open);
      for (const name of ['.', '..', ' .. ']) {
        await refuses(store.projects.add({ name, by }), 'invalid');
      }
      await store.projects.add({ name: '...', by });
    });

    test('an agent id is stored in lower case and belongs to one project only', async () => {
      const { store, project } = await withProject(open);
      const other = await store.projects.add({ name: 'other', by });
      const id = randomUUID();
      const agent = { projectId: project.id, id: id.toUpperCase(), name: 'Bot', by };
      expect((await store.agents.add(agent)).id).toBe(id);
      await refuses(store.agents.add(agent), 'conflict');
      await refuses(store.agents.add({ ...agent, projectId: other.id }), 'conflict');
      expect((await store.agents.list({ projectId: project.id })).items).toMatchObject([
        { id, name: 'Bot', projectId: project.id },
      ]);
    });

    test('an agent id that is no UUID is refused', async () => {
      const { store, project } = await withProject(open);
      const agent = { projectId: project.id, name: 'Bot', by };
      for (const id of ['', '42', `urn:uuid:${randomUUID()}`, `"${randomUUID()}"`]) {
        await refuses(store.agents.add({ ...agent, id }), 'invalid');
      }
    });

    test('a project has at most 10,000 agents, so that its keys are read in time', async () => {
      const { store, project, sql } = await withProject(open);
      const projectId = project.id;
      await sql(
        'INSERT INTO agents (id, project_id, name, created_at_ms) ' +
          'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) ' +
          `SELECT 'agent-' || i, '${projectId}', 'Bot', 0 FROM n`,
      );
      const add = (to = projectId) =>
        store.agents.add({ projectId: to, id: randomUUID(), name: 'Bot', by });
      const { id } = await add();
      expect(await refuses(add(), 'invalid')).toContain('10000');
      await add((await store.projects.add({ name: 'other', by })).id);
      await store.agents.remove({ projectId, id, by });
      await add();
    });

    test('an agent is removed only from its own project', async () => {
      const { store, a, projectId } = await withAgents(open);
      const other = await store.projects.add({ name: 'other', by });
      await refuses(store.agents.remove({ projectId: other.id, id: a, by }), 'not_found');
      await store.agents.remove({ projectId, id: a, by });
      await refuses(store.agents.remove({ projectId, id: a, by }), 'not_found');
    });

    test('pages follow one another without a gap', async () => {
      const { store, projectId } = await withAgents(open);
      const first = await store.agents.list({ projectId, limit: 1 });
      const cursor = first.nextCursor ?? '';
      const second = await store.agents.list({ projectId, limit: 1, cursor });
      expect([...first.items, ...second.items].map(({ name }) => name)).toEqual([
        'Support bot',
        'Sales bot',
      ]);
      expect(second.nextCursor).toBeUndefined();
      await refuses(store.agents.list({ projectId, limit: 0 }), 'invalid');
      await refuses(store.agents.list({ projectId, cursor: 'x' }), 'invalid');
    });
  });
}
