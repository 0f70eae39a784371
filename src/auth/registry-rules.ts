/** The checks that every kind of store shares. Each throws `RegistryError`. */
import { isKeyShaped } from './key-format.ts';
import { RegistryError } from './registry-error.ts';
import type { KeyRecord, Page, PageRequest } from './store.ts';

const nameCharsMax = 100;
const pageItemsMax = 1_000;
const dayMs = 24 * 60 * 60 * 1_000;
/** A gateway reads all of a project's agents at once, within the deadline of one read. */
export const projectAgentsMax = 10_000;
const graceMsMax = 366 * dayMs;
/** 100 years. Far later times are no dates any more, and could not be shown. */
const lifetimeMsMax = 36_525 * dayMs;
/** Anywhere in a text, in any case: wider than what is accepted as a key. */
const somethingLikeKey = /mibo_[\w-]{16,}/i;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export const idPrefixes = { project: 'prj_', key: 'key_' } as const;
export const idChars = 16;

/** The name without spaces around it. Names are shown everywhere, so none may hold a key. */
export function checkName(name: string): string {
  const trimmed = name.trim();
  if (somethingLikeKey.test(trimmed)) {
    throw invalid('choose a name without a key in it: names are shown to everybody');
  }
  if (trimmed === '') throw invalid('give it a name: an empty one tells people nothing');
  const chars = [...trimmed].length;
  if (chars > nameCharsMax) {
    throw invalid(`shorten the name to ${nameCharsMax} characters: it has ${chars}`);
  }
  // Half a character (a lone surrogate, as JSON can write it) cannot be stored as it is.
  if (!trimmed.isWellFormed()) throw invalid('remove the broken character from the name');
  if (/\p{Cc}/u.test(trimmed)) throw invalid('remove the control characters from the name');
  return trimmed;
}

/** Projects are found by id or name, in URLs too, so a name must not look like an id or a step. */
export function checkProjectName(name: string): string {
  const checked = checkName(name);
  if (checked === '.' || checked === '..') {
    throw invalid('choose a name that can stand in a URL: "." and ".." lead elsewhere');
  }
  if (checked.startsWith(idPrefixes.project)) {
    throw invalid(`choose a name that does not start with "${idPrefixes.project}", as ids do`);
  }
  return checked;
}

/** The id in lower case. */
export function checkAgentId(id: string): string {
  const lower = id.toLowerCase();
  if (!uuid.test(lower)) {
    throw invalid(
      `write the agent's id as a plain UUID, without quotes or spaces: found ${quote(id)}`,
    );
  }
  return lower;
}

/** The ids of a scope, in lower case, each once. */
export function checkScope(agents: readonly string[]): readonly string[] {
  if (agents.length === 0) {
    throw invalid('name at least one agent, or say that the key may use all: the list is empty');
  }
  return [...new Set(agents.map(checkAgentId))];
}

export function checkExpiry(expiresAtMs: number | undefined, nowMs: number): void {
  if (expiresAtMs === undefined) return;
  if (!Number.isSafeInteger(expiresAtMs) || expiresAtMs <= nowMs) {
    throw invalid('choose an expiry in the future: this one is past or is no time');
  }
  if (expiresAtMs - nowMs > lifetimeMsMax) {
    throw invalid('choose an expiry within the next 100 years, or none for a key that stays');
  }
}

export function checkGrace(graceMs: number): void {
  if (!Number.isSafeInteger(graceMs) || graceMs < 0 || graceMs > graceMsMax) {
    throw invalid('choose a grace between 0 and 366 days');
  }
}

/** What rotation asks of the old key. */
type Rotated = Pick<KeyRecord, 'createdAtMs' | 'expiresAtMs' | 'status'>;

/** The old key ends after the grace or as before, the new one has the lifetime of the old one. */
export function expiriesOfRotation(
  old: Rotated,
  atMs: number,
  graceMs: number,
): { readonly oldExpiresAtMs: number; readonly expiresAtMs: number | undefined } {
  const oldExpiresAtMs = endOfRotated(old, atMs, graceMs);
  if (old.expiresAtMs === undefined) return { oldExpiresAtMs, expiresAtMs: undefined };
  // A key from before that bound does not hand its lifetime on.
  const lifetimeMs = Math.min(old.expiresAtMs - old.createdAtMs, lifetimeMsMax);
  return { oldExpiresAtMs, expiresAtMs: atMs + lifetimeMs };
}

/**
 * Each gateway judges an expiry by its own wall clock, and one that is behind would accept for as
 * long what has ended. So an end that is decided, and not awaited, is kept as a negative time: no
 * clock is before that. What has ended stays so.
 */
function endOfRotated({ status, expiresAtMs = Infinity }: Rotated, atMs: number, graceMs: number) {
  if (status === 'expired') return -expiresAtMs;
  return graceMs === 0 ? -atMs : Math.min(expiresAtMs, atMs + graceMs);
}

/** When it expires or did, for people. */
export function shownExpiry(expiresAtMs: number): number {
  return Math.abs(expiresAtMs);
}

export function checkImportedKey(key: string): void {
  if (isKeyShaped(key)) return;
  throw invalid(
    'import a key of the form mibo_ and 16 to 128 letters, digits, "_" or "-", nothing around it',
  );
}

/** Keys of one project, or of all. */
export type KeyQuery = PageRequest & { readonly projectId?: string };

/** `after`: where the page starts; undefined for the first. */
export type PageStart = { readonly after: number | undefined; readonly limit: number };

export function checkPage({ cursor, limit = pageItemsMax }: PageRequest): PageStart {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > pageItemsMax) {
    throw invalid(`choose a limit between 1 and ${pageItemsMax}`);
  }
  if (cursor === undefined) return { after: undefined, limit };
  if (!/^\d{1,16}$/.test(cursor)) throw invalid('pass the cursor on as it was given');
  return { after: Number(cursor), limit };
}

/** A page from `limit + 1` rows: the one too many only says that more follows. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  map: { readonly item: (row: Row) => Item; readonly position: (row: Row) => number },
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.map(map.item);
  if (rows.length <= limit || last === undefined) return { items };
  return { items, nextCursor: String(map.position(last)) };
}

export function invalid(message: string): RegistryError {
  return new RegistryError('invalid', message);
}

export function notFound(message: string): RegistryError {
  return new RegistryError('not_found', message);
}

export function conflict(message: string): RegistryError {
  return new RegistryError('conflict', message);
}

/** Shortened, for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 59)}…` : text);
}
