/**
 * The tables in PostgreSQL. No name is qualified: they are found along the search_path of the URL.
 *
 * Each key and project carries the version of its newest change, which the feed asks for. A revoked
 * key stays as a tombstone (`revoked_at_ms`), so that its hash can never be imported again.
 * `committed_at` is the server's clock, `at_ms` the one of who made the change.
 */
import type { Migration } from './migrations.ts';

export const migrations: readonly Migration[] = [
  {
    number: 1,
    sql: `
CREATE TABLE projects (
  id text PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  name text NOT NULL UNIQUE,
  created_at_ms bigint NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX projects_by_version ON projects (version);

CREATE TABLE agents (
  id text PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  project_id text NOT NULL REFERENCES projects (id),
  name text NOT NULL,
  created_at_ms bigint NOT NULL
);
CREATE INDEX agents_of_project ON agents (project_id, seq);

CREATE TABLE api_keys (
  id text PRIMARY KEY,
  seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  project_id text NOT NULL REFERENCES projects (id),
  name text NOT NULL,
  hash text NOT NULL UNIQUE,
  fmt smallint NOT NULL,
  last4 text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('all', 'agents')),
  expires_at_ms bigint,
  rotated_from text,
  created_by text NOT NULL,
  created_at_ms bigint NOT NULL,
  revoked_at_ms bigint,
  version bigint NOT NULL
);
CREATE INDEX api_keys_of_project ON api_keys (project_id, seq);
CREATE INDEX api_keys_by_version ON api_keys (version);

CREATE TABLE api_key_agents (
  key_id text NOT NULL REFERENCES api_keys (id),
  agent_id text NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  PRIMARY KEY (key_id, agent_id)
);
CREATE INDEX api_key_agents_of_agent ON api_key_agents (agent_id);

CREATE TABLE api_key_usage (
  key_id text PRIMARY KEY,
  last_used_at_ms bigint NOT NULL
);

CREATE TABLE audit_log (
  version bigint PRIMARY KEY,
  committed_at timestamptz NOT NULL,
  at_ms bigint NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  project_id text NOT NULL,
  subject_id text NOT NULL,
  details json NOT NULL
);
CREATE INDEX audit_log_of_project ON audit_log (project_id, version);
CREATE INDEX audit_log_of_subject ON audit_log (subject_id, version);

CREATE TABLE gateway_leases (
  lease_ms integer PRIMARY KEY,
  seen_at timestamptz NOT NULL
);
`,
  },
];
