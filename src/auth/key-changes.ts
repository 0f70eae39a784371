/**
 * Changing keys, whatever kind of store keeps them: what is checked before, and the row of a new
 * key. The stores bring the transactions.
 */
import type { Clock } from '../core/clock.ts';
import { generateKey, hashKey, keyFormats, lastFour, randomBase62 } from './key-format.ts';
import {
  checkExpiry,
  checkGrace,
  checkImportedKey,
  checkName,
  checkScope,
  expiriesOfRotation,
  idChars,
  idPrefixes,
} from './registry-rules.ts';
import type { KeyRecord, Keys, NewKey } from './store.ts';

export type Scope = 'all' | readonly string[];

export type Addition = {
  readonly action: 'key.create' | 'key.import';
  readonly key: string;
  readonly wanted: NewKey;
};

export type Replacement = { readonly key: string; readonly graceMs: number };

type By = { readonly by: string };

/** Each is one transaction, its row of the audit included, and resolves as `Keys` says. */
export type KeyWrites = {
  add(addition: Addition): Promise<KeyRecord>;
  rename(id: string, change: By & { readonly name: string }): Promise<KeyRecord>;
  /** `name` undefined: it stays. */
  rescope(
    id: string,
    change: By & { readonly scope: Scope; readonly name: string | undefined },
  ): Promise<KeyRecord>;
  rotate(id: string, change: By & Replacement): Promise<KeyRecord>;
  revoke(id: string, change: By & { readonly projectId?: string }): Promise<void>;
};

export function createKeyChanges(writes: KeyWrites, clock: Clock): Omit<Keys, 'list' | 'get'> {
  return {
    async create(wanted) {
      const key = generateKey();
      return { record: await writes.add({ action: 'key.create', key, wanted }), key };
    },
    async importKey(wanted) {
      checkImportedKey(wanted.key);
      return writes.add({ action: 'key.import', key: wanted.key, wanted });
    },
    async rename(id, { name, by }) {
      return writes.rename(id, { name: checkName(name), by });
    },
    async setScope(id, { agents, name, by }) {
      const checked = name === undefined ? undefined : checkName(name);
      return writes.rescope(id, { scope: checkedScope(agents), name: checked, by });
    },
    async rotate(id, { graceMs, by }) {
      checkGrace(graceMs);
      const key = generateKey();
      return { record: await writes.rotate(id, { key, graceMs, by }), key };
    },
    async revoke(id, change) {
      const startedAtMs = clock.monotonicMs();
      await writes.revoke(id, change);
      const effectiveAfterMs = Math.ceil(clock.monotonicMs() - startedAtMs);
      return { effective: true, effectiveAfterMs };
    },
  };
}

export type NewRow = {
  readonly id: string;
  readonly projectId: string;
  readonly hash: string;
  readonly scope: Scope;
  /** In the order of `newRowColumns`. */
  readonly values: readonly (string | number | null)[];
};

export const newRowColumns =
  'id, project_id, name, hash, fmt, last4, scope, expires_at_ms, rotated_from, created_by, ' +
  'created_at_ms';

/** When and by whom. */
type At = By & { readonly atMs: number };

export function rowOf({ action, key, wanted }: Addition, at: At): NewRow {
  const name = checkName(wanted.name);
  checkExpiry(wanted.expiresAtMs, at.atMs);
  const scope = checkedScope(wanted.agents ?? 'all');
  const format = action === 'key.import' ? keyFormats.imported : keyFormats.generated;
  return newRow({ ...wanted, name, key, format, scope }, at);
}

/** The row of the key that replaces `old`, and when `old` ends. */
export function rowOfRotation(
  old: KeyRecord,
  { key, graceMs }: Replacement,
  at: At,
): { readonly row: NewRow; readonly oldExpiresAtMs: number } {
  const { oldExpiresAtMs, expiresAtMs } = expiriesOfRotation(old, at.atMs, graceMs);
  const scope = old.scope === 'all' ? 'all' : old.agents;
  const format = keyFormats.generated;
  const { projectId, name, id: rotatedFrom } = old;
  const row = newRow({ projectId, name, key, format, scope, expiresAtMs, rotatedFrom }, at);
  return { row, oldExpiresAtMs };
}

type RowContent = {
  readonly projectId: string;
  readonly name: string;
  readonly key: string;
  readonly format: number;
  readonly scope: Scope;
  readonly expiresAtMs?: number | undefined;
  readonly rotatedFrom?: string;
};

function newRow(content: RowContent, { by, atMs }: At): NewRow {
  const { projectId, name, key, format, scope, expiresAtMs, rotatedFrom } = content;
  const id = `${idPrefixes.key}${randomBase62(idChars)}`;
  const hash = hashKey(key);
  const identity = [id, projectId, name, hash, format, lastFour(key), scopeWord(scope)];
  const values = [...identity, expiresAtMs ?? null, rotatedFrom ?? null, by, atMs];
  return { id, projectId, hash, scope, values };
}

export function scopeWord(scope: Scope): KeyRecord['scope'] {
  return scope === 'all' ? 'all' : 'agents';
}

function checkedScope(agents: Scope): Scope {
  return agents === 'all' ? agents : checkScope(agents);
}
