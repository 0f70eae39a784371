/**
 * Which clients share a budget: an IPv4 address alone, an IPv6 address with its /64, of which a
 * single client has all addresses. IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) is IPv4.
 */
import { isIPv6 } from 'node:net';

/** Anything that is no IPv6 address stands for itself. */
export function budgetAddress(peer: string): string {
  if (!isIPv6(peer)) return peer;
  const groups = groupsOf(peer);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped) return ipv4Of(groups[6] ?? 0, groups[7] ?? 0);
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** Its eight groups of 16 bits; `address` is valid. */
function groupsOf(address: string): readonly number[] {
  const [withoutZone = ''] = address.split('%', 1);
  const [head = '', tail] = withoutZone.split('::', 2);
  const first = parse(head);
  if (tail === undefined) return first;
  const last = parse(tail);
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function parse(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv4Of(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
