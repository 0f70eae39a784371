/** What the registry commands share: all pages, who did it, and records as JSON. */
import { userInfo } from 'node:os';
import type { Agent, KeyRecord, Page, PageRequest, Project } from '../auth/auth.ts';
import { isoTime } from './table.ts';

/** Every item of a paged list. */
export async function allItems<T>(list: (page: PageRequest) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let page = await list({});
  items.push(...page.items);
  while (page.nextCursor !== undefined) {
    page = await list({ cursor: page.nextCursor });
    items.push(...page.items);
  }
  return items;
}

/** For the audit: `cli:ada`. */
export function actor(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    // A container may run under a number that has no name.
    return `cli:${process.getuid?.() ?? 'unknown'}`;
  }
}

export function projectJson(project: Project): Record<string, unknown> {
  return { id: project.id, name: project.name, created_at: timeJson(project.createdAtMs) };
}

export function agentJson(agent: Agent): Record<string, unknown> {
  return {
    id: agent.id,
    project_id: agent.projectId,
    name: agent.name,
    created_at: timeJson(agent.createdAtMs),
  };
}

export function keyJson(record: KeyRecord): Record<string, unknown> {
  return {
    id: record.id,
    project_id: record.projectId,
    name: record.name,
    masked_key: record.maskedKey,
    scope: record.scope,
    agents: record.agents,
    status: record.status,
    created_at: timeJson(record.createdAtMs),
    created_by: record.createdBy,
    last_used_at: timeJson(record.lastUsedAtMs),
    expires_at: timeJson(record.expiresAtMs),
    rotated_from: record.rotatedFrom ?? null,
  };
}

function timeJson(ms: number | undefined): string | null {
  return ms === undefined ? null : isoTime(ms);
}
