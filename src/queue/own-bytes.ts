import type { Delivery } from '../core/delivery.ts';

/** A body may keep at most so many times its own size in memory. */
const pinnedRatioMax = 2;

/**
 * The delivery, with a body that keeps no more memory than it may. Its pieces are slices of what
 * arrived: a small agent's share of a big request would hold all of it for as long as it waits.
 */
export function ownBytes(delivery: Delivery): Delivery {
  if (pinnedBytes(delivery.body) <= delivery.bodyBytes * pinnedRatioMax) return delivery;
  // Not from the shared pool, where one that waits long would keep its neighbours' slab.
  const copy = Buffer.allocUnsafeSlow(delivery.bodyBytes);
  let offset = 0;
  for (const piece of delivery.body) offset += piece.copy(copy, offset);
  return { ...delivery, body: [copy] };
}

/** The bytes that stay in memory for as long as these pieces do. */
function pinnedBytes(pieces: readonly Buffer[]): number {
  let sum = 0;
  for (const memory of new Set(pieces.map((piece) => piece.buffer))) sum += memory.byteLength;
  return sum;
}
