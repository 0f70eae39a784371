/** Projects and their agents in SQLite. */
import type { Clock } from '../core/clock.ts';
import { randomBase62 } from './key-format.ts';
import {
  checkAgentId,
  checkName,
  checkPage,
  checkProjectName,
  conflict,
  idChars,
  idPrefixes,
  notFound,
  pageOf,
  quote,
} from './registry-rules.ts';
import { recordChange } from './sqlite-audit.ts';
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import type { Agent, Agents, Project, Projects } from './store.ts';

type ProjectRow = {
  readonly seq: number;
  readonly id: string;
  readonly name: string;
  readonly created_at_ms: number;
};

type AgentRow = ProjectRow & { readonly project_id: string };

export function createProjects(file: SqliteFile, clock: Clock): Projects {
  return {
    async add({ name: wanted, by }) {
      const name = checkProjectName(wanted);
      const id = `${idPrefixes.project}${randomBase62(idChars)}`;
      const atMs = clock.wallMs();
      await file.write((connection) => {
        if (connection.get('SELECT 1 FROM projects WHERE name = ?', name) !== undefined) {
          throw conflict(`choose another name: there is a project ${quote(name)} already`);
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
      if (row === undefined) {
        throw notFound(`list the projects for the right name: there is none ${quote(idOrName)}`);
      }
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
        if (row === undefined) {
          throw notFound(`list the agents for the right id: the project has none ${quote(id)}`);
        }
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
  throw notFound(`list the projects for the right id: there is none ${quote(projectId)}`);
}

function insertAgent(connection: Connection, agent: Agent): void {
  const owner = connection.get<{ project_id: string }>(
    'SELECT project_id FROM agents WHERE id = ?',
    agent.id,
  );
  if (owner !== undefined) {
    throw conflict(
      owner.project_id === agent.projectId
        ? 'use the agent as it is: the project has it already'
        : 'check the id: this agent belongs to another project, and an agent has one only',
    );
  }
  connection.run(
    'INSERT INTO agents (id, project_id, name, created_at_ms) VALUES (?, ?, ?, ?)',
    agent.id,
    agent.projectId,
    agent.name,
    agent.createdAtMs,
  );
}

function projectOf(row: ProjectRow): Project {
  return { id: row.id, name: row.name, createdAtMs: row.created_at_ms };
}

function agentOf(row: AgentRow): Agent {
  return { ...projectOf(row), projectId: row.project_id };
}
