/** Projects and their agents in SQLite. */
import type { Clock } from '../core/clock.ts';
import { randomBase62 } from './key-format.ts';
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
import { recordChange } from './sqlite-audit.ts';
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import type { Agent, Agents, Projects } from './store.ts';

export function createProjects(file: SqliteFile, clock: Clock): Projects {
  return {
    async add({ name: wanted, by }) {
      const name = checkProjectName(wanted);
      const id = `${idPrefixes.project}${randomBase62(idChars)}`;
      const atMs = clock.wallMs();
      await file.write((connection) => {
        if (connection.get('SELECT 1 FROM projects WHERE name = ?', name) !== undefined) {
          throw projectNameTaken(name);
        }
        connection.run(
          'INSERT INTO projects (id, name, created_at_ms) VALUES (?, ?, ?)',
          id,
          name,
          atMs,
        );
        const details = { name };
        recordChange(connection, {
          action: 'project.add',
          projectId: id,
          subjectId: id,
          by,
          atMs,
          details,
        });
      });
      return { id, name, createdAtMs: atMs };
    },
    async list(page = {}) {
      const { after, limit } = checkPage(page);
      const sql = 'SELECT * FROM projects WHERE seq > ? ORDER BY seq LIMIT ?';
      const rows = file.read((connection) =>
        connection.all<ProjectRow>(sql, after ?? 0, limit + 1),
      );
      return pageOf(rows, limit, { item: projectOf, position: (row) => row.seq });
    },
    async find(idOrName) {
      const sql = 'SELECT * FROM projects WHERE id = ? OR name = ?';
      const row = file.read((connection) => connection.get<ProjectRow>(sql, idOrName, idOrName));
      if (row === undefined) throw noProject(idOrName);
      return projectOf(row);
    },
  };
}

export function createAgents(file: SqliteFile, clock: Clock): Agents {
  return {
    async add(agent) {
      const id = checkAgentId(agent.id);
      const name = checkName(agent.name);
      const atMs = clock.wallMs();
      const { projectId, by } = agent;
      await file.write((connection) => {
        requireProject(connection, projectId);
        insertAgent(connection, { id, projectId, name, createdAtMs: atMs });
        recordChange(connection, {
          action: 'agent.add',
          projectId,
          subjectId: id,
          by,
          atMs,
          details: { name },
        });
      });
      return { id, projectId, name, createdAtMs: atMs };
    },
    async list({ projectId, ...page }) {
      const { after, limit } = checkPage(page);
      const sql = 'SELECT * FROM agents WHERE project_id = ? AND seq > ? ORDER BY seq LIMIT ?';
      const rows = file.read((connection) => {
        requireProject(connection, projectId);
        return connection.all<AgentRow>(sql, projectId, after ?? 0, limit + 1);
      });
      return pageOf(rows, limit, { item: agentOf, position: (row) => row.seq });
    },
    async remove({ projectId, id: wanted, by }) {
      const id = checkAgentId(wanted);
      const atMs = clock.wallMs();
      await file.write((connection) => {
        const row = connection.get<AgentRow>(
          'SELECT * FROM agents WHERE id = ? AND project_id = ?',
          id,
          projectId,
        );
        if (row === undefined) throw noAgent(id);
        const keys = connection.all<{ key_id: string }>(
          'SELECT key_id FROM api_key_agents WHERE agent_id = ?',
          id,
        );
        connection.run('DELETE FROM agents WHERE id = ?', id);
        recordChange(connection, {
          action: 'agent.remove',
          projectId,
          subjectId: id,
          by,
          atMs,
          details: { name: row.name, keys: keys.map(({ key_id }) => key_id) },
        });
      });
    },
  };
}

/** Throws `not_found`. */
export function requireProject(connection: Connection, projectId: string): void {
  if (connection.get('SELECT 1 FROM projects WHERE id = ?', projectId) !== undefined) return;
  throw noProject(projectId);
}

function insertAgent(connection: Connection, agent: Agent): void {
  const owner = connection.get<{ project_id: string }>(
    'SELECT project_id FROM agents WHERE id = ?',
    agent.id,
  );
  if (owner !== undefined) {
    throw agentTaken(owner.project_id === agent.projectId ? 'own project' : 'another project');
  }
  const { agents } = connection.get<{ agents: number }>(
    'SELECT count(*) AS agents FROM agents WHERE project_id = ?',
    agent.projectId,
  ) ?? { agents: 0 };
  if (agents >= projectAgentsMax) throw tooManyAgents();
  connection.run(
    'INSERT INTO agents (id, project_id, name, created_at_ms) VALUES (?, ?, ?, ?)',
    agent.id,
    agent.projectId,
    agent.name,
    agent.createdAtMs,
  );
}
