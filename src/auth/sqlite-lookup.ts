/**
 * Hash → grant, from memory as long as nobody has changed the registry.
 *
 * Promise: a commit of any process or connection is seen by the next lookup. `PRAGMA data_version`
 * tells whether anyone has committed since (https://sqlite.org/pragma.html#pragma_data_version);
 * the registry's version then tells whether it was a change or only last-used dates.
 * Unknown keys are not remembered, so that garbage cannot push out keys that exist.
 */
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import type { Grant } from './store.ts';
import { storeFault } from './store-fault.ts';

type KeyRow = {
  readonly id: string;
  readonly project_id: string;
  readonly name: string;
  readonly scope: 'all' | 'agents';
  readonly expires_at_ms: number | null;
  /** JSON: [[id, name], …] */
  readonly agents: string;
};

type AgentMap = ReadonlyMap<string, string>;

// One statement, so that key and scope are of one moment.
const keySql = `
SELECT id, project_id, name, scope, expires_at_ms, (
  SELECT json_group_array(json_array(agents.id, agents.name) ORDER BY agents.seq)
  FROM api_key_agents JOIN agents ON agents.id = api_key_agents.agent_id
  WHERE api_key_agents.key_id = api_keys.id
) AS agents
FROM api_keys WHERE hash = ? AND revoked_at_ms IS NULL`;
const agentsSql = 'SELECT id, name FROM agents WHERE project_id = ? ORDER BY seq';
const versionSql = 'SELECT coalesce(max(version), 0) AS version FROM audit_log';

export function createLookup(
  file: SqliteFile,
  cachedKeysMax: number,
): (hash: string) => Grant | undefined {
  const grants = new Map<string, Grant>();
  /** One map for all unrestricted keys of a project. */
  const projectAgents = new Map<string, AgentMap>();
  let seen: { connection: Connection; data: number; version: number } | undefined;

  function forgetIfChanged(connection: Connection): void {
    const data = dataVersion(connection);
    if (seen?.connection === connection && seen.data === data) return;
    const version = connection.get<{ version: number }>(versionSql)?.version ?? 0;
    if (seen?.connection !== connection || seen.version !== version) {
      grants.clear();
      projectAgents.clear();
    }
    seen = { connection, data, version };
  }

  function agentsOf(connection: Connection, row: KeyRow): AgentMap {
    if (row.scope === 'agents') return new Map(JSON.parse(row.agents) as [string, string][]);
    const known = projectAgents.get(row.project_id);
    if (known !== undefined) return known;
    const rows = connection.all<{ id: string; name: string }>(agentsSql, row.project_id);
    const agents = new Map(rows.map(({ id, name }) => [id, name]));
    remember(projectAgents, row.project_id, { value: agents, entriesMax: cachedKeysMax });
    return agents;
  }

  function load(connection: Connection, hash: string): Grant | undefined {
    const row = connection.get<KeyRow>(keySql, hash);
    if (row === undefined) return undefined;
    const grant: Grant = {
      tenant: {
        projectId: row.project_id,
        keyId: row.id,
        keyName: row.name,
        scope: row.scope === 'all' ? 'project' : 'agents',
        agents: agentsOf(connection, row),
      },
      expiresAtMs: row.expires_at_ms ?? undefined,
    };
    remember(grants, hash, { value: grant, entriesMax: cachedKeysMax });
    return grant;
  }

  return (hash) => {
    try {
      const connection = file.reader();
      forgetIfChanged(connection);
      return grants.get(hash) ?? load(connection, hash);
    } catch (thrown) {
      throw storeFault(thrown);
    }
  };
}

function dataVersion(connection: Connection): number {
  return connection.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
}

/** Bounded: the entry that was put in first makes room. */
function remember<Value>(
  map: Map<string, Value>,
  key: string,
  { value, entriesMax }: { readonly value: Value; readonly entriesMax: number },
): void {
  const oldest = map.keys().next().value;
  if (map.size >= entriesMax && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}
