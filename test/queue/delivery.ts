import type { Delivery } from '../../src/core/delivery.ts';

let count = 0;

/** A delivery like those of the gateway; what a test is about is given. */
export function delivery(given: Partial<Delivery> & { readonly text?: string } = {}): Delivery {
  count += 1;
  const { text, ...fields } = given;
  const body = fields.body ?? [Buffer.from(text ?? `body ${count};`)];
  return {
    projectId: 'project-1',
    keyId: 'key-1',
    agentId: '00000000-0000-4000-8000-000000000001',
    signal: 'traces',
    encoding: 'proto',
    compression: 'identity',
    idempotencyKey: `delivery-${count}`,
    gatewayRequestId: `request-${count}`,
    arrivedAtMs: Date.UTC(2026, 0, 1),
    items: 1,
    ...fields,
    body,
    bodyBytes: body.reduce((sum, piece) => sum + piece.length, 0),
  };
}

export function textOf(each: Delivery): string {
  return Buffer.concat(each.body).toString();
}
