/** What PostgreSQL and the way to it throw, as the errors that the rest of the gateway knows. */
import { Client } from 'pg';
import { GatewayError } from '../core/errors.ts';
import { isPostgresUrl } from '../core/postgres-url.ts';
import { RegistryError } from './registry-error.ts';
import { storeFault } from './store-fault.ts';

/** Refusals leave as they are, any fault as `store_unavailable`. */
export function translated(thrown: unknown): GatewayError | RegistryError {
  return thrown instanceof RegistryError ? thrown : storeFault(single(thrown));
}

/** A host with several addresses fails with one error for each; the first tells enough. */
function single(thrown: unknown): unknown {
  return thrown instanceof AggregateError ? thrown.errors[0] : thrown;
}

/** Where a URL leads, without its password. */
export type Target = {
  readonly address: string;
  readonly database: string;
  readonly user: string;
};

/** Throws `store_unavailable` for what is no URL of PostgreSQL. */
export function targetOf(url: string): Target {
  try {
    if (!isPostgresUrl(url)) throw new Error('no URL of PostgreSQL');
    const { host, port, database, user } = new Client({ connectionString: url });
    return { address: `${host}:${port}`, database: database ?? '', user: user ?? '' };
  } catch (thrown) {
    // Without its cause, which may quote the URL.
    const { code, path } = thrown as NodeJS.ErrnoException;
    throw new GatewayError(
      'store_unavailable',
      path === undefined
        ? 'write the URL of the key store as postgres://user:password@host:port/database, with ' +
            'characters of the password that mean something in a URL percent-encoded (%40 for @)'
        : `check the certificate that the URL of the key store names: ${path} (${code})`,
    );
  }
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const codes = {
  wrongPassword: ['28P01', '28000'],
  noDatabase: ['3D000'],
  noRights: ['42501'],
  noSchema: ['3F000'],
  tableInTheWay: ['42P07', '42703'],
  /** Starting up or shutting down, no connection left, no network. They pass by themselves. */
  notYet: ['57P03', '57P01', '57P02', '53300', '08006', '08001'],
} as const;
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
]);

/** A server that is not there yet may come; a wrong password never gets right. */
export function maySoonAnswer(fault: GatewayError): boolean {
  const code = codeOf(fault.cause);
  if (is(code, codes.notYet) || networkCodes.has(code)) return true;
  return /timeout|terminated|did not answer/i.test(messageOf(fault.cause));
}

/** For whoever starts the gateway or runs a command: what to check, and where. */
export function openFault(fault: GatewayError, target: Target): GatewayError {
  const hint = `${remedyFor(fault.cause, target)}: ${messageOf(fault.cause)}`;
  return new GatewayError('store_unavailable', hint, { cause: fault.cause });
}

function remedyFor(cause: unknown, { address, database, user }: Target): string {
  const code = codeOf(cause);
  if (is(code, codes.wrongPassword) || /password must be/.test(messageOf(cause))) {
    return `check user and password of the key store: PostgreSQL at ${address} refused "${user}"`;
  }
  if (is(code, codes.noDatabase)) {
    return `create the database "${database}" at ${address}, or name another for the key store`;
  }
  if (is(code, codes.noRights)) {
    return (
      `give "${user}" the rights on the tables in "${database}" at ${address}, or make them ` +
      'with mibo-gateway migrate and the URL of their owner'
    );
  }
  if (is(code, codes.noSchema)) {
    return `create the schema that search_path names, in "${database}" at ${address}`;
  }
  if (is(code, codes.tableInTheWay)) {
    return `give the key store a schema or a database of its own: "${database}" is in use`;
  }
  return `check the key store, PostgreSQL at ${address}, database "${database}"`;
}

function is(code: string, list: readonly string[]): boolean {
  return list.includes(code);
}

function codeOf(cause: unknown): string {
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
