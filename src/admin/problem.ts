/**
 * Every error of the admin API, as problem details (RFC 9457); what it means for HTTP, once.
 *
 *   {"type":"about:blank","title":"Not Found","status":404,"detail":"list the keys for …"}
 */
import { STATUS_CODES } from 'node:http';
import { HTTPException } from 'hono/http-exception';
import { loggedFault, maskKey, RegistryError, type RegistryErrorCode } from '../auth/auth.ts';
import { GatewayError } from '../core/errors.ts';
import type { Log } from '../observability/observability.ts';

/** One finding in a request: `path` is a field (`agents.0`) or a name in the query. */
export type Finding = { readonly path: string; readonly message: string };

export type ProblemOptions = {
  readonly errors?: readonly Finding[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
};

/** A request that is refused. `detail` is public and starts with the fix. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: number;
  readonly detail: string;
  readonly errors: readonly Finding[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, detail: string, options: ProblemOptions = {}) {
    super(detail, { cause: options.cause });
    this.status = status;
    this.detail = detail;
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }
}

/**
 * 400 is for what is not shaped as the document says, 422 for what is, but breaks a rule of the
 * registry: an agent of another project, an expiry that is past.
 */
const registryStatus: Readonly<Record<RegistryErrorCode, number>> = {
  not_found: 404,
  conflict: 409,
  invalid: 422,
};

export const jsonType = 'application/json';
export const notJson = `send the body as Content-Type: ${jsonType}`;

/** What hono refuses by itself: 400 is a body that JSON.parse does not take. */
const frameworkDetail: { readonly [status: number]: string } = {
  400: 'send valid JSON',
  415: notJson,
};

/** What is not a refusal is a fault: it is logged, and its text goes to nobody. */
export function problemOf(thrown: unknown, log: Log): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  if (thrown instanceof RegistryError) {
    return new ProblemError(registryStatus[thrown.code], thrown.message);
  }
  if (thrown instanceof HTTPException && thrown.status < 500) {
    const detail = frameworkDetail[thrown.status] ?? 'send what /admin/v1/openapi.json describes';
    return new ProblemError(thrown.status, detail, { cause: thrown });
  }
  if (thrown instanceof GatewayError && thrown.kind === 'store_unavailable') {
    return storeFault(thrown, log);
  }
  log.error({ err: thrown }, 'the admin API has a fault');
  return new ProblemError(500, 'try again, and look at the log of the gateway: it has a fault');
}

function storeFault(error: GatewayError, log: Log): ProblemError {
  log.warn({ cause: loggedFault(error) }, 'the key store does not answer the admin API');
  const waitS = Math.ceil((error.retryAfterMs ?? 0) / 1000);
  return new ProblemError(503, error.hint, { headers: { 'retry-after': String(waitS) } });
}

export function renderProblem(problem: ProblemError): Response {
  const { status, detail, errors } = problem;
  const title = STATUS_CODES[status] ?? 'Unknown';
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, errors });
  return new Response(maskKeys(body), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...problem.headers,
    },
  });
}

/** Somebody may paste a key where an id belongs, and texts repeat what was not found. */
function maskKeys(text: string): string {
  return text.replace(/mibo_[\w-]{16,}/gi, maskKey);
}
