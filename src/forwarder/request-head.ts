/**
 * Path and headers of a request to the downstream; the names stand in the product's contract.
 */
import { hash } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Compression, Delivery, Encoding } from '../core/delivery.ts';
import type { DownstreamOptions } from './forwarder.ts';

/** Names and values in turn, as undici takes them without another copy. */
export type RequestHead = { readonly path: string; readonly headers: string[] };

/** How a body that is ready to be sent is written, and its length. */
export type BodyForm = {
  readonly encoding: Encoding;
  readonly compression: Compression;
  readonly bytes: number;
};

export type RequestHeadOf = (deliveries: readonly Delivery[], form: BodyForm) => RequestHead;

const contentTypes = { proto: 'application/x-protobuf', json: 'application/json' } as const;

/** Facts of each request and its connection, which no configured header may replace. */
const ownHeaders = new Set([
  'connection',
  'expect',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'content-type',
  'content-encoding',
  'content-length',
  'idempotency-key',
  'x-request-id',
]);

/** Throws `TypeError` if a configured header cannot be sent; the text never has its value. */
export function createRequestHead(downstream: DownstreamOptions): RequestHeadOf {
  const base = new URL(downstream.endpoint).pathname.replace(/\/$/, '');
  const configured = checkHeaders(downstream.headers);
  const configuredWithoutKey = configured.filter(([name]) => name !== 'x-api-key').flat();
  const configuredAll = configured.flat();
  return (deliveries, form) => {
    const [first] = deliveries;
    if (first === undefined) throw new TypeError('a request carries at least one delivery');
    const path = first.signal === 'traces_api' ? downstream.tracesApiPath : downstream.tracesPath;
    const headers = ['content-type', contentTypes[form.encoding]];
    headers.push('content-length', String(form.bytes));
    const add = (name: string, value: string | undefined): void => {
      if (value !== undefined && value !== '') headers.push(name, value);
    };
    if (form.compression !== 'identity') add('content-encoding', form.compression);
    add('x-mibo-project-id', first.projectId);
    add('x-mibo-platform-id', first.agentId);
    // Passthrough: without a project the key id is this gateway's own affair.
    if (first.projectId !== '') add('x-mibo-key-id', first.keyId);
    add('idempotency-key', idempotencyKeyOf(deliveries, first));
    add('x-request-id', first.requestId);
    // Of a joined request it is the first one's; the others are found by time and agent.
    add('x-mibo-gateway-request-id', first.gatewayRequestId);
    add('x-api-key', first.forwardKey);
    headers.push(...(first.forwardKey === undefined ? configuredAll : configuredWithoutKey));
    return { path: base + path, headers };
  };
}

/** A joined request has a key of its own, the same whenever the same deliveries are joined. */
function idempotencyKeyOf(deliveries: readonly Delivery[], first: Delivery): string {
  if (deliveries.length === 1) return first.idempotencyKey;
  const members = deliveries.map((delivery) => delivery.idempotencyKey).join('\n');
  return `joined-${hash('sha256', members, 'base64url')}`;
}

function checkHeaders(headers: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(headers).map(([given, value]) => {
    const name = given.toLowerCase();
    validateHeaderName(name);
    if (ownHeaders.has(name) || name.startsWith('x-mibo-')) {
      throw new TypeError(`remove "${given}" from downstream.headers: the gateway sets it itself`);
    }
    try {
      validateHeaderValue(name, value);
    } catch {
      throw new TypeError(
        `correct "${given}" in downstream.headers: its value has a line break or another ` +
          'character that no header may have',
      );
    }
    return [name, value];
  });
}
