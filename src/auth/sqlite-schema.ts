/**
 * The tables of the SQLite file.
 *
 * `audit_log.version` is the version of the whole registry: each change writes one row there, and
 * SQLite has one writer at a time, so versions rise in the order of the commits. A revoked key
 * stays as a tombstone (`revoked_at_ms`), so that its hash can never be imported again.
 */
import type { Migration } from './migrations.ts';

export const migrations: readonly Migration[] = [
  {
    number: 1,
    sql: `
CREATE TABLE projects (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE agents (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX agents_of_project ON agents (project_id, seq);

CREATE TABLE api_keys (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  fmt INTEGER NOT NULL,
  last4 TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('all', 'agents')),
  expires_at_ms INTEGER,
  rotated_from TEXT,
  created_by TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER
) STRICT;
CREATE INDEX api_keys_of_project ON api_keys (project_id, seq);

CREATE TABLE api_key_agents (
  key_id TEXT NOT NULL REFERENCES api_keys (id),
  agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  PRIMARY KEY (key_id, agent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_agents_of_agent ON api_key_agents (agent_id);

CREATE TABLE api_key_usage (
  key_id TEXT PRIMARY KEY,
  last_used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
  version INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  project_id TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_of_project ON audit_log (project_id, version);
CREATE INDEX audit_log_of_subject ON audit_log (subject_id, version);
`,
  },
];
