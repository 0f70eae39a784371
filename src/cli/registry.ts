/** What the registry commands share: all pages, and who did it. */
import { userInfo } from 'node:os';
import type { Page, PageRequest } from '../auth/auth.ts';

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
