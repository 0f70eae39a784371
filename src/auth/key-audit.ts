/** What the audit keeps of each change of a key. */
import { shownExpiry } from './registry-rules.ts';
import type { AuditAction, AuditEntry, KeyRecord } from './store.ts';

export type ChangeEntry = Pick<AuditEntry, 'action' | 'projectId' | 'subjectId' | 'details'>;

export const keyEntries = {
  added: (key: KeyRecord, action: AuditAction) => entryOf(key, action),
  renamed: (key: KeyRecord, before: KeyRecord) =>
    entryOf(key, 'key.rename', { nameBefore: before.name }),
  rescoped: (key: KeyRecord, before: KeyRecord) =>
    entryOf(key, 'key.scope', { scopeBefore: before.scope, agentsBefore: before.agents }),
  rotated: (key: KeyRecord, oldExpiresAtMs: number) =>
    entryOf(key, 'key.rotate', {
      rotatedFrom: key.rotatedFrom,
      oldExpiresAtMs: shownExpiry(oldExpiresAtMs),
    }),
  revoked: (key: KeyRecord) => entryOf(key, 'key.revoke', { createdBy: key.createdBy }),
};

function entryOf(
  key: KeyRecord,
  action: AuditAction,
  more: AuditEntry['details'] = {},
): ChangeEntry {
  const { name, maskedKey, scope, agents, expiresAtMs } = key;
  const details = { name, maskedKey, scope, agents, expiresAtMs, ...more };
  return { action, projectId: key.projectId, subjectId: key.id, details };
}
