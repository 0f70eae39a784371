/** Why requests of a key were refused, from the journey of the request to the admin API. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createAuth } from '../../src/auth/auth.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Delivery, DeliveryOutcome } from '../../src/core/delivery.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { IncomingRequest } from '../../src/core/incoming.ts';
import { createIngest } from '../../src/ingest.ts';
import { summarizeTraces } from '../../src/otlp/otlp.ts';
import { createRouting } from '../../src/routing/routing.ts';
import { makeExport } from '../harness/make-export.ts';
import { type AdminUnderTest, startAdmin } from './admin-under-test.ts';

type Outcome = (delivery: Delivery) => DeliveryOutcome;

const attribute = 'mibo.platform_id';
const accepted = { kind: 'accepted', rejectedItems: 0, message: '' } as const;

describe('the rejections of a key', () => {
  /** The journey of requests, without a receiver: `send` does what one does with a refusal. */
  async function withJourney(outcome: Outcome = () => accepted) {
    const admin = await startAdmin();
    await admin.ok('POST', '/projects', { name: 'shop' });
    const agent = randomUUID();
    await admin.ok('POST', '/projects/shop/agents', { id: agent, name: 'Bot' });
    const key = await admin.ok('POST', '/projects/shop/api-keys', { name: 'k' });
    const ingest = journey(admin, outcome);
    const send = async (message: Buffer) => {
      const request = requestOf(key.key as string, message);
      try {
        await ingest.exportRequest(request);
      } catch (thrown) {
        admin.observability.refusals.record(GatewayError.from(thrown), request);
      }
    };
    const path = `/projects/shop/api-keys/${key.id}/rejections`;
    const rejections = async () => (await admin.ok('GET', path)).items;
    return { ...admin, agent, send, rejections };
  }

  test('say what was refused, why, and which trace it was about', async () => {
    const { send, rejections, agent } = await withJourney();
    expect(await rejections()).toEqual([]);
    await send(makeExport({ platformId: agent }).proto);
    expect(await rejections()).toEqual([]);
    const { proto } = makeExport({ platformId: undefined });
    await send(proto);
    await send(proto);
    expect(await rejections()).toEqual([
      {
        at: expect.any(String),
        protocol: 'http',
        status: 400,
        reason: 'platform_not_found',
        hint: expect.stringContaining('use a key scoped to one agent'),
        trace_id: traceIdIn(proto),
        count: 2,
      },
    ]);
  });

  test('have those of which a part was accepted, by the trace of the refused part', async () => {
    const { send, rejections, agent } = await withJourney();
    const good = makeExport({ platformId: agent }).proto;
    const bad = makeExport({ platformId: randomUUID() }).proto;
    await send(Buffer.concat([good, bad]));
    expect(await rejections()).toMatchObject([
      { status: 200, reason: 'platform_not_allowed', trace_id: traceIdIn(bad), count: 1 },
    ]);
  });

  test('have what the ingestion service refused, in whole or in part', async () => {
    let refuse = true;
    const refused = { kind: 'refused', status: 422, text: 'too old' } as const;
    const { send, rejections, agent, ok } = await withJourney((delivery) =>
      refuse && delivery.agentId === agent ? refused : accepted,
    );
    const one = makeExport({ platformId: agent }).proto;
    await send(one);
    const other = randomUUID();
    await ok('POST', '/projects/shop/agents', { id: other, name: 'Other' });
    const both = Buffer.concat([one, makeExport({ platformId: other }).proto]);
    await send(both);
    refuse = false;
    await send(both);
    expect(await rejections()).toMatchObject([
      { status: 200, reason: 'refused_downstream', trace_id: traceIdIn(one) },
      { status: 400, reason: 'refused_downstream', trace_id: traceIdIn(one) },
    ]);
  });

  test('have malformed bodies, by the trace that could still be read', async () => {
    const { send, rejections, agent } = await withJourney();
    const { proto } = makeExport({ platformId: agent });
    await send(Buffer.concat([proto, Buffer.from([0x0a, 0x7f])]));
    await send(Buffer.from([0xff]));
    expect(await rejections()).toMatchObject([
      { status: 400, reason: 'malformed', trace_id: null },
      { status: 400, reason: 'malformed', trace_id: traceIdIn(proto) },
    ]);
  });
});

function journey({ store, observability }: AdminUnderTest, outcome: Outcome) {
  return createIngest({
    auth: createAuth({
      store,
      lookup: store.lookup,
      clock: systemClock,
      observability,
      apiKeyHeader: 'x-api-key',
      unknownKeyFailuresPerMinute: 0,
    }),
    limits: undefined,
    routing: createRouting({
      attribute: attribute,
      header: 'x-mibo-platform-id',
      onScopeConflict: 'use_scope',
    }),
    attribute: attribute,
    deliver: async (deliveries) => deliveries.map((delivery) => outcome(delivery)),
    relay: () => Promise.reject(new Error('no flat body is sent here')),
    wallMs: () => systemClock.wallMs(),
    observability,
  });
}

function requestOf(key: string, message: Buffer): IncomingRequest {
  return {
    protocol: 'http',
    peer: '192.0.2.1',
    credentials: { apiKey: [key], authorization: [] },
    platformHeader: undefined,
    requestId: undefined,
    gatewayRequestId: randomUUID(),
    deadlineAtMs: Number.POSITIVE_INFINITY,
    readBody: async () => ({
      encoding: 'proto',
      compression: 'identity',
      received: message,
      message,
    }),
    limitedBy() {},
  };
}

/** Of the first trace. */
function traceIdIn(message: Buffer): string | undefined {
  return summarizeTraces(message, attribute)[0]?.traceId;
}
