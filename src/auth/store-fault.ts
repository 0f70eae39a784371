/** Faults of a store as the one error that the rest of the gateway knows; refusals pass as is. */
import { GatewayError } from '../core/errors.ts';

/** A store that does not answer is never a refused key. */
export function storeFault(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const hint = 'send it again shortly: the key store does not answer';
  return new GatewayError('store_unavailable', hint, { cause: thrown });
}
