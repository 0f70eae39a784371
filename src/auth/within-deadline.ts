/** A promise that has only so much time. */
import type { Clock } from '../core/clock.ts';
import { GatewayError } from '../core/errors.ts';

export function storeIsLate(): GatewayError {
  return new GatewayError(
    'store_unavailable',
    'send it again shortly: the key store does not answer in time',
  );
}

/**
 * Rejects with `store_unavailable` after `deadlineMs`; what comes later is dropped. A timer may
 * fire late, so whoever relies on the time looks at the clock as well.
 */
export function withinDeadline<Value>(
  clock: Clock,
  deadlineMs: number,
  run: () => Promise<Value>,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadlineMs, () => reject(storeIsLate()));
    run().then(resolve, reject).finally(cancel);
  });
}
