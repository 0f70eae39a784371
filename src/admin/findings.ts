/** What is wrong with a request, field by field, in words that start with the fix. */
import type { z } from '@hono/zod-openapi';
import type { Finding } from './problem.ts';

type Issue = z.core.$ZodIssue;

export function findingsOf(error: z.ZodError): Finding[] {
  return error.issues.flatMap(findingOf);
}

function findingOf(issue: Issue): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: pathOf([...issue.path, key]),
      message: 'remove it: there is no such field',
    }));
  }
  return [{ path: pathOf(issue.path), message: messageOf(issue) }];
}

/** Those that a schema words itself are passed on; zod's own do not start with the fix. */
function messageOf(issue: Issue): string {
  if (issue.code === 'invalid_type' && issue.path.length === 0) return 'send a JSON object';
  return issue.message;
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}
