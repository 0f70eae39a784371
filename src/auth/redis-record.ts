/**
 * Records of the shared cache as text, with the version in front:
 *
 *   17                                     tombstone: the name changed in version 17
 *   17 k1 ["key_…","name","prj_…",…]       a key, as of version 17
 *   17 a1 [["<agent id>","name"],…]        the agents of a project
 *
 * The script that compares versions reads digits only, so it need not know the formats. Text that
 * is not exactly this (another program's, another format's) is no record.
 */
import type { AgentNames, StoredKey, Versioned } from './key-source.ts';

export function encodeKey({ version, value }: Versioned<StoredKey>): string {
  const { keyId, keyName, projectId, scope, agents, expiresAtMs } = value;
  const scoped = scope === 'all' ? null : agents;
  const json = JSON.stringify([keyId, keyName, projectId, scoped, expiresAtMs ?? null]);
  return `${version} k1 ${json}`;
}

export function decodeKey(text: unknown): Versioned<StoredKey> | undefined {
  const record = parse(text, 'k1');
  if (record === undefined || record.value.length !== 5) return undefined;
  const [keyId, keyName, projectId, agents, expiresAtMs] = record.value;
  if (!isText(keyId) || !isText(keyName) || !isText(projectId)) return undefined;
  if (agents !== null && !(Array.isArray(agents) && agents.every(isText))) return undefined;
  if (expiresAtMs !== null && !Number.isSafeInteger(expiresAtMs)) return undefined;
  return {
    version: record.version,
    value: {
      keyId,
      keyName,
      projectId,
      scope: agents === null ? 'all' : 'agents',
      agents: agents ?? [],
      expiresAtMs: typeof expiresAtMs === 'number' ? expiresAtMs : undefined,
    },
  };
}

export function encodeAgents({ version, value }: Versioned<AgentNames>): string {
  return `${version} a1 ${JSON.stringify([...value])}`;
}

export function decodeAgents(text: unknown): Versioned<AgentNames> | undefined {
  const record = parse(text, 'a1');
  if (record === undefined || !record.value.every(isPair)) return undefined;
  return { version: record.version, value: new Map(record.value) };
}

function parse(text: unknown, format: string): Versioned<unknown[]> | undefined {
  const [, digits, found, json = ''] = isText(text) ? (/^(\d+) (\w+) (.*)$/s.exec(text) ?? []) : [];
  const version = Number(digits);
  if (found !== format || !Number.isSafeInteger(version)) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) ? { version, value } : undefined;
  } catch {
    return undefined;
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every(isText);
}
