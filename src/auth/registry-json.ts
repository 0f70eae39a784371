/** The registry's records as JSON: one form for the commands' `--json` and the admin API. */
import { isoTime } from '../core/iso-time.ts';
import type { Agent, AuditAction, AuditEntry, KeyRecord, Project } from './store.ts';

/** Times are RFC 3339, in UTC. */
export type ProjectJson = {
  readonly id: string;
  readonly name: string;
  readonly created_at: string;
};

export type AgentJson = ProjectJson & { readonly project_id: string };

export type KeyJson = {
  readonly id: string;
  readonly project_id: string;
  readonly name: string;
  readonly masked_key: string;
  readonly scope: KeyRecord['scope'];
  readonly agents: string[];
  readonly status: KeyRecord['status'];
  readonly created_at: string;
  readonly created_by: string;
  readonly last_used_at: string | null;
  readonly expires_at: string | null;
  readonly rotated_from: string | null;
};

export type AuditJson = {
  readonly version: number;
  readonly at: string;
  readonly by: string;
  readonly action: AuditAction;
  readonly project_id: string;
  readonly subject_id: string;
  /** In the words of the other records: `masked_key`, `expires_at`. */
  readonly details: Record<string, unknown>;
};

export function projectJson({ id, name, createdAtMs }: Project): ProjectJson {
  return { id, name, created_at: isoTime(createdAtMs) };
}

export function agentJson({ id, projectId, name, createdAtMs }: Agent): AgentJson {
  return { id, project_id: projectId, name, created_at: isoTime(createdAtMs) };
}

export function keyJson(record: KeyRecord): KeyJson {
  return {
    id: record.id,
    project_id: record.projectId,
    name: record.name,
    masked_key: record.maskedKey,
    scope: record.scope,
    agents: [...record.agents],
    status: record.status,
    created_at: isoTime(record.createdAtMs),
    created_by: record.createdBy,
    last_used_at: timeJson(record.lastUsedAtMs),
    expires_at: timeJson(record.expiresAtMs),
    rotated_from: record.rotatedFrom ?? null,
  };
}

export function auditJson(entry: AuditEntry): AuditJson {
  return {
    version: entry.version,
    at: isoTime(entry.atMs),
    by: entry.by,
    action: entry.action,
    project_id: entry.projectId,
    subject_id: entry.subjectId,
    details: Object.fromEntries(Object.entries(entry.details).map(detailJson)),
  };
}

/** `expiresAtMs: 0` → `expires_at: "1970-…"`; `maskedKey` → `masked_key`. */
function detailJson([name, value]: readonly [string, unknown]): [string, unknown] {
  const isTime = name.endsWith('AtMs') && typeof value === 'number';
  const words = name.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return [words, isTime ? isoTime(value) : value];
}

function timeJson(ms: number | undefined): string | null {
  return ms === undefined ? null : isoTime(ms);
}
