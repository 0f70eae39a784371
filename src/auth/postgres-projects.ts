/** Projects and their agents in PostgreSQL. */
import { randomBase62 } from './key-format.ts';
import type { Session } from './postgres-pool.ts';
import { type Change, drawVersion, type Registry, recordChange } from './postgres-registry.ts';
import { type AgentRow, agentOf, type ProjectRow, projectOf } from './registry-records.ts';
import {
  agentTaken,
  noAgent,
  noProject,
  projectNameTaken,
  tooManyAgents,
} from './registry-refusals.ts';
import {
  checkAgentId,
  checkName,
  checkPage,
  checkProjectName,
  idChars,
  idPrefixes,
  pageOf,
  projectAgentsMax,
} from './registry-rules.ts';
import type { Agent, Agents, Project, Projects } from './store.ts';

export function createProjects(registry: Registry): Projects {
  return {
    async add({ name: wanted, by }) {
      const name = checkProjectName(wanted);
      return registry.change(by, (at) => addProject(at, name));
    },
    async list(page = {}) {
      const { after, limit } = checkPage(page);
      const sql = 'SELECT * FROM projects WHERE seq > $1 ORDER BY seq LIMIT $2';
      const rows = await registry.read((session) =>
        session.query<ProjectRow>(sql, [after ?? 0, limit + 1]),
      );
      return pageOf(rows, limit, { item: projectOf, position: (row) => row.seq });
    },
    async find(idOrName) {
      const column = idOrName.startsWith(idPrefixes.project) ? 'id' : 'name';
      const sql = `SELECT * FROM projects WHERE ${column} = $1`;
      const [row] = await registry.read((session) => session.query<ProjectRow>(sql, [idOrName]));
      if (row === undefined) throw noProject(idOrName);
      return projectOf(row);
    },
  };
}

export function createAgents(registry: Registry): Agents {
  return {
    async add(agent) {
      const id = checkAgentId(agent.id);
      const name = checkName(agent.name);
      const { projectId, by } = agent;
      return registry.changeEverywhere(by, (at) => addAgent(at, { id, projectId, name }));
    },
    async list({ projectId, ...page }) {
      const { after, limit } = checkPage(page);
      const sql = 'SELECT * FROM agents WHERE project_id = $1 AND seq > $2 ORDER BY seq LIMIT $3';
      const rows = await registry.read(async (session) => {
        await requireProject(session, projectId);
        return session.query<AgentRow>(sql, [projectId, after ?? 0, limit + 1]);
      });
      return pageOf(rows, limit, { item: agentOf, position: (row) => row.seq });
    },
    async remove({ projectId, id: wanted, by }) {
      const id = checkAgentId(wanted);
      await registry.changeEverywhere(by, (at) => removeAgent(at, { id, projectId }));
    },
  };
}

/** Throws `not_found`. */
export async function requireProject(session: Session, projectId: string): Promise<void> {
  const sql = 'SELECT 1 FROM projects WHERE id = $1';
  if ((await session.query(sql, [projectId])).length === 0) throw noProject(projectId);
}

async function addProject(at: Change, name: string): Promise<Project> {
  const taken = await at.session.query('SELECT 1 FROM projects WHERE name = $1', [name]);
  if (taken.length > 0) throw projectNameTaken(name);
  const id = `${idPrefixes.project}${randomBase62(idChars)}`;
  const version = await drawVersion(at);
  await at.session.query(
    'INSERT INTO projects (id, name, created_at_ms, version) VALUES ($1, $2, $3, $4)',
    [id, name, at.atMs, version],
  );
  const details = { name };
  await recordChange(at, { action: 'project.add', projectId: id, subjectId: id, details });
  return { id, name, createdAtMs: at.atMs };
}

async function addAgent(at: Change, agent: Omit<Agent, 'createdAtMs'>): Promise<Agent> {
  const { id, projectId, name } = agent;
  await requireProject(at.session, projectId);
  const [owner] = await at.session.query<{ project_id: string }>(
    'SELECT project_id FROM agents WHERE id = $1',
    [id],
  );
  if (owner !== undefined) {
    throw agentTaken(owner.project_id === projectId ? 'own project' : 'another project');
  }
  const [{ agents } = { agents: 0 }] = await at.session.query<{ agents: number }>(
    'SELECT count(*) AS agents FROM agents WHERE project_id = $1',
    [projectId],
  );
  if (agents >= projectAgentsMax) throw tooManyAgents();
  await at.session.query(
    'INSERT INTO agents (id, project_id, name, created_at_ms) VALUES ($1, $2, $3, $4)',
    [id, projectId, name, at.atMs],
  );
  await agentsChanged(at, projectId, await drawVersion(at));
  const details = { name };
  await recordChange(at, { action: 'agent.add', projectId, subjectId: id, details });
  return { ...agent, createdAtMs: at.atMs };
}

async function removeAgent(at: Change, { id, projectId }: Pick<Agent, 'id' | 'projectId'>) {
  const [row] = await at.session.query<{ name: string }>(
    'SELECT name FROM agents WHERE id = $1 AND project_id = $2',
    [id, projectId],
  );
  if (row === undefined) throw noAgent(id);
  const keys = await at.session.query<{ id: string; hash: string }>(
    'SELECT api_keys.id, api_keys.hash FROM api_key_agents ' +
      'JOIN api_keys ON api_keys.id = api_key_agents.key_id ' +
      'WHERE api_key_agents.agent_id = $1 ORDER BY api_keys.seq',
    [id],
  );
  const keyIds = keys.map((key) => key.id);
  const version = await drawVersion(at);
  await at.session.query('UPDATE api_keys SET version = $1 WHERE id = ANY($2)', [version, keyIds]);
  await at.session.query('DELETE FROM agents WHERE id = $1', [id]);
  await agentsChanged(at, projectId, version);
  for (const { hash } of keys) at.made.staleKeys.add(hash);
  const details = { name: row.name, keys: keyIds };
  await recordChange(at, { action: 'agent.remove', projectId, subjectId: id, details });
}

async function agentsChanged(at: Change, projectId: string, version: number): Promise<void> {
  await at.session.query('UPDATE projects SET version = $1 WHERE id = $2', [version, projectId]);
  at.made.staleProjects.add(projectId);
}
