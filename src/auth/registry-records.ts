/** Rows of the registry as the types of `Store`; both kinds of store name their columns alike. */
import { maskKey } from './key-format.ts';
import { shownExpiry } from './registry-rules.ts';
import type { Agent, AuditAction, AuditEntry, KeyRecord, Project } from './store.ts';

export type ProjectRow = {
  readonly seq: number;
  readonly id: string;
  readonly name: string;
  readonly created_at_ms: number;
};

export type AgentRow = ProjectRow & { readonly project_id: string };

export type KeyRow = {
  readonly seq: number;
  readonly id: string;
  readonly project_id: string;
  readonly name: string;
  readonly last4: string;
  readonly scope: 'all' | 'agents';
  readonly expires_at_ms: number | null;
  readonly rotated_from: string | null;
  readonly created_by: string;
  readonly created_at_ms: number;
  readonly last_used_at_ms: number | null;
  /** JSON: [id, …] */
  readonly agents: string;
};

export type AuditRow = {
  readonly version: number;
  readonly at_ms: number;
  readonly actor: string;
  readonly action: AuditAction;
  readonly project_id: string;
  readonly subject_id: string;
  /** JSON */
  readonly details: string;
};

export function projectOf(row: ProjectRow): Project {
  return { id: row.id, name: row.name, createdAtMs: row.created_at_ms };
}

export function agentOf(row: AgentRow): Agent {
  return { ...projectOf(row), projectId: row.project_id };
}

export function keyRecordOf(row: KeyRow, nowMs: number): KeyRecord {
  const { expires_at_ms: expiresAtMs } = row;
  return {
    id: row.id,
    projectId: row.project_id,
    name: row.name,
    maskedKey: maskKey(row.last4),
    scope: row.scope,
    agents: JSON.parse(row.agents) as string[],
    status: expiresAtMs !== null && expiresAtMs <= nowMs ? 'expired' : 'active',
    createdAtMs: row.created_at_ms,
    createdBy: row.created_by,
    lastUsedAtMs: row.last_used_at_ms ?? undefined,
    expiresAtMs: expiresAtMs === null ? undefined : shownExpiry(expiresAtMs),
    rotatedFrom: row.rotated_from ?? undefined,
  };
}

export function entryOf(row: AuditRow): AuditEntry {
  return {
    version: row.version,
    atMs: row.at_ms,
    by: row.actor,
    action: row.action,
    projectId: row.project_id,
    subjectId: row.subject_id,
    details: JSON.parse(row.details) as AuditEntry['details'],
  };
}
