/**
 * What a fault of Redis means, and what may be said of it. The text of an error reply may repeat
 * the command with its arguments, a password among them; so only its first word is ever logged.
 */

/** Replies that say that this server, or this connection, serves nobody for now. */
const servesNobody =
  /^(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|READONLY|WRONGPASS)\b/;

const noSentinel = 'no Sentinel names the master';

const cures: Readonly<Record<string, string>> = {
  NOAUTH: 'put the password into auth.redis.url: redis://:password@host:6379',
  NOPERM: 'let the user of auth.redis.url run its commands on the keys and channels of the prefix',
  [noSentinel]: 'check the Sentinels and the name of the master in auth.redis.url',
  WRONGPASS: 'correct the user and the password of auth.redis.url',
};

/**
 * Whether the connection is of no use any more. Any other error reply is about its command alone
 * (a foreign type at a key, no memory to write); it came in time, so asking goes on to be cheap.
 */
export function isConnectionFault(fault: unknown): boolean {
  return !isReply(fault) || servesNobody.test(fault.message);
}

export type LoggedRedisFault = { readonly cause: string; readonly fix?: string };

export function loggedRedisFault(fault: unknown): LoggedRedisFault {
  const cause = isReply(fault) ? firstWord(fault.message) : textOf(fault);
  const fix = cures[cause];
  return fix === undefined ? { cause } : { cause, fix };
}

function firstWord(reply: string): string {
  const plain = /^(?:ERR max number of clients reached|[A-Z]+)/;
  return plain.exec(reply)?.[0] ?? 'an error reply';
}

function textOf(fault: unknown): string {
  if (!(fault instanceof Error)) return String(fault);
  const { code, lastNodeError } = fault as NodeJS.ErrnoException & { lastNodeError?: unknown };
  if (lastNodeError instanceof Error) return loggedRedisFault(lastNodeError).cause;
  if (typeof code === 'string') return code;
  if (!fault.message.startsWith('All sentinels')) return fault.message;
  // The text ends with the last error, which may be the reply of a server.
  const known = /\b(?:NOAUTH|WRONGPASS|ECONN[A-Z]+|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)\b/;
  return known.exec(fault.message)?.[0] ?? noSentinel;
}

function isReply(fault: unknown): fault is Error {
  return fault instanceof Error && fault.name === 'ReplyError';
}
