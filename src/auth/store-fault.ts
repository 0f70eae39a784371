/** Faults of a store as the one error that the rest of the gateway knows; refusals pass as is. */
import { GatewayError } from '../core/errors.ts';

/** A store that does not answer is never a refused key. */
export function storeFault(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const hint = 'send it again shortly: the key store does not answer';
  return new GatewayError('store_unavailable', hint, { cause: thrown });
}

/** What a log says of a fault. Its stack leads into this program, where nothing is to be mended. */
export function loggedFault(fault: unknown): { message: string; code?: unknown } {
  const cause = fault instanceof GatewayError ? (fault.cause ?? fault) : fault;
  if (!(cause instanceof Error)) return { message: String(cause) };
  const { message, code } = cause as NodeJS.ErrnoException;
  return code === undefined ? { message } : { message, code };
}
