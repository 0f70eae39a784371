/** Addresses of listeners. */
export type Endpoint = { readonly host: string; readonly port: number };

/** `host:port` as a client on this machine reaches it: a wildcard is no address to connect to. */
export function reachable({ host, port }: Endpoint): string {
  if (host === '' || host === '0.0.0.0') return `127.0.0.1:${port}`;
  if (host === '::') return `[::1]:${port}`;
  return written({ host, port });
}

/** `host:port`, with IPv6 in brackets. */
export function written({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
