/** The head of a request, read alike for gRPC and HTTP. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Credentials } from '../core/incoming.ts';

export type HeadersAsReceived = {
  readonly headers: IncomingHttpHeaders;
  /** Flat: name, value, name, value. */
  readonly raw: readonly string[];
};

const none: readonly string[] = [];

/** Every value of a repeated header: Node joins some of them and drops others. */
export function valuesOf(received: HeadersAsReceived, name: string): readonly string[] {
  if (received.headers[name] === undefined) return none;
  const values: string[] = [];
  for (let at = 0; at + 1 < received.raw.length; at += 2) {
    const found = received.raw[at] as string;
    if (found.length === name.length && found.toLowerCase() === name) {
      values.push(received.raw[at + 1] as string);
    }
  }
  return values;
}

export function credentialsOf(received: HeadersAsReceived, apiKeyHeader: string): Credentials {
  return {
    apiKey: valuesOf(received, apiKeyHeader),
    authorization: valuesOf(received, 'authorization'),
  };
}

export function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
