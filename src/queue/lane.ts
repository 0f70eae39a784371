/**
 * Which deliveries share a lane, and which of a lane's may be sent as one body. Both hold for
 * every kind of queue.
 */
import type { Delivery } from '../core/delivery.ts';

/**
 * One lane per agent and key. A client's `x-request-id` has a lane of its own: it can never be
 * joined, so in its agent's lane each one would wait for the answer to the one before it, while
 * two of the same id, where the later replaces the earlier, still keep their order.
 */
export function laneOf(delivery: Delivery): string {
  return [
    delivery.signal,
    delivery.encoding,
    delivery.projectId,
    delivery.keyId,
    delivery.agentId,
    delivery.forwardKey ?? '',
    delivery.requestId ?? '',
  ].join('\n');
}

/**
 * Whether two deliveries of one lane are one valid body when they are put one after the other.
 * Protobuf messages merge, gzip members and zstd frames make one stream (RFC 1952 §2.2, RFC 8878
 * §3.1); zlib streams and JSON texts do not. What carries an `x-request-id` is an identity
 * downstream: joined with another it would become part of it.
 */
export function mayJoin(first: Delivery, next: Delivery): boolean {
  return (
    first.signal === 'traces' &&
    first.encoding === 'proto' &&
    first.requestId === undefined &&
    first.compression === next.compression &&
    first.compression !== 'deflate'
  );
}
