/** Whether a host is this machine itself, so that nobody else reaches what listens there. */
const loopback = /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/i;

/** `host` without port and brackets. */
export function isLoopback(host: string): boolean {
  return loopback.test(host);
}
