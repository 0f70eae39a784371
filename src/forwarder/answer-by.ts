/** Time for the answer to be written, of what is left. */
const marginMsMax = 250;
const marginShare = 0.1;

/**
 * When a client that waits until `deadlineAtMs` is to be told that the downstream has not answered:
 * just before, so that it learns what is slow and when to send again, rather than that its time is
 * up. Both are of the monotonic clock.
 */
export function answerBy(deadlineAtMs: number, nowMs: number): number {
  const leftMs = Math.max(0, deadlineAtMs - nowMs);
  return deadlineAtMs - Math.min(marginMsMax, leftMs * marginShare);
}
