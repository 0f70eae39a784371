/**
 * Who may use the admin API.
 *
 * With a token: whoever shows it. A page in somebody's browser cannot, so nothing else is checked.
 * Without one: whoever is on this machine, but no page of another site. A browser sends requests
 * here on behalf of any page (CSRF), and a page whose name was made to resolve to 127.0.0.1 (DNS
 * rebinding) may even read the answers; it cannot choose Host, Origin or Sec-Fetch-Site.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { isLoopback } from '../core/loopback.ts';
import { ProblemError } from './problem.ts';

type Headers = (name: string) => string | undefined;

/** Whether an endpoint is reached by others, so that only a token keeps them out. */
export function adminNeedsToken(host: string, token: string): boolean {
  return token === '' && !isLoopback(host);
}

export function createGuard(token: string): MiddlewareHandler {
  const check = token === '' ? checkSameMachine : tokenCheck(token);
  return (c, next) => {
    check((name) => c.req.header(name));
    return next();
  };
}

function tokenCheck(token: string): (header: Headers) => void {
  const wanted = digest(token);
  return (header) => {
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(header('authorization') ?? '') ?? [];
    // Hashes are of one length, and how far two of them agree says nothing of the token.
    if (given !== '' && timingSafeEqual(digest(given), wanted)) return;
    const detail = 'send the admin token: Authorization: Bearer <token>';
    throw new ProblemError(401, detail, { headers: { 'www-authenticate': 'Bearer' } });
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}

function checkSameMachine(header: Headers): void {
  const host = header('host') ?? '';
  if (!isLoopback(hostname(host))) {
    throw new ProblemError(403, 'use localhost or 127.0.0.1, or set admin.token: the Host differs');
  }
  const origin = header('origin');
  const site = header('sec-fetch-site') ?? 'none';
  const foreign = origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`;
  if (foreign || (site !== 'same-origin' && site !== 'none')) {
    throw new ProblemError(403, 'set admin.token, and send it: pages of other sites are refused');
  }
}

/** Without port and brackets. */
function hostname(host: string): string {
  return host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
