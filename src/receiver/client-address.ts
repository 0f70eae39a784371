/**
 * Whose request it is behind proxies: `X-Forwarded-For` lists the clients that each proxy saw, the
 * nearest last, and everything before the entry of the first trusted proxy may be made up. So only
 * a trusted peer's header is read, from its end, up to the first address that is not trusted.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { textOf } from './head.ts';

/** The client's address: `socketAddress` unless a trusted proxy names another. */
export type ClientAddressOf = (
  socketAddress: string | undefined,
  headers: IncomingHttpHeaders,
) => string;

/** `trustedProxies`: addresses and networks (CIDR). Throws on anything else. */
export function createClientAddressOf(trustedProxies: readonly string[]): ClientAddressOf {
  if (trustedProxies.length === 0) return (socketAddress = '') => socketAddress;
  const trusted = new BlockList();
  for (const network of trustedProxies) addNetwork(trusted, network);

  return (socketAddress = '', headers) => {
    if (!isTrusted(trusted, socketAddress)) return socketAddress;
    const entries = textOf(headers['x-forwarded-for'])?.split(',') ?? [];
    let client = socketAddress;
    for (const entry of entries.reverse()) {
      const address = addressIn(entry);
      // Whoever wrote that cannot be believed about anything before it either.
      if (address === undefined) return socketAddress;
      client = address;
      if (!isTrusted(trusted, address)) break;
    }
    return client;
  };
}

function addNetwork(trusted: BlockList, network: string): void {
  const [address = '', prefix] = network.split('/', 2);
  const bits = isIP(address) === 4 ? 32 : 128;
  trusted.addSubnet(address, prefix === undefined ? bits : Number(prefix), familyOf(address));
}

function isTrusted(trusted: BlockList, address: string): boolean {
  return trusted.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function addressIn(entry: string): string | undefined {
  const text = entry.trim();
  const withPort = /^\[([^\]]*)\](?::\d+)?$|^([^:]*):\d+$/.exec(text);
  const address = withPort === null ? text : (withPort[1] ?? withPort[2] ?? '');
  return isIP(address) === 0 ? undefined : address;
}
