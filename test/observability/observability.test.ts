/** What the gateway says about itself: bounded logs, counters, health. */
import { get } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { dropReasons } from '../../src/core/delivery.ts';
import { GatewayError } from '../../src/core/errors.ts';
import {
  createHealth,
  createObservability,
  type Health,
} from '../../src/observability/observability.ts';

function observed(level: 'info' | 'warn' = 'info') {
  const lines: string[] = [];
  const observability = createObservability({
    level,
    destination: { write: (line) => lines.push(line) },
  });
  return { ...observability, lines, events: () => lines.map((line) => JSON.parse(line)) };
}

const request = { protocol: 'http', peer: '192.0.2.1' } as const;

describe('refused requests', () => {
  test('a flood of the same refusal is one line, and every one is counted', async () => {
    const { refusals, metrics, events } = observed();
    for (let i = 0; i < 1_000; i += 1) {
      refusals.record(new GatewayError('invalid_api_key', 'use a valid key'), request);
    }
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      level: 'warn',
      kind: 'invalid_api_key',
      peer: '192.0.2.1',
    });
    expect(await metrics.text()).toContain(
      'mibo_gateway_requests_total{protocol="http",outcome="invalid_api_key"} 1000',
    );
  });

  test('another kind and another key get a line of their own', () => {
    const { refusals, events } = observed();
    const mine = new GatewayError('platform_not_found', 'name an agent');
    mine.keyId = 'key-1';
    const theirs = new GatewayError('platform_not_found', 'name an agent');
    theirs.keyId = 'key-2';
    for (const error of [mine, mine, theirs, new GatewayError('malformed', 'mend it')]) {
      refusals.record(error, request);
    }
    expect(events().map(({ kind, key_id }) => [kind, key_id])).toEqual([
      ['platform_not_found', 'key-1'],
      ['platform_not_found', 'key-2'],
      ['malformed', undefined],
    ]);
  });

  test('another mistake of the same sender is logged at once', () => {
    const { refusals, events } = observed();
    for (const hint of ['remove the quotes', 'copy the key again', 'remove the quotes']) {
      refusals.record(new GatewayError('invalid_api_key', hint), request);
    }
    expect(events().map(({ hint }) => hint)).toEqual(['remove the quotes', 'copy the key again']);
  });

  test('an overruled target is logged, since exporters show it to nobody', async () => {
    const { refusals, metrics, events } = observed();
    const sender = { request, tenant: { keyId: 'key-1' } };
    refusals.overruled(0, '', sender);
    expect(events()).toEqual([]);
    refusals.overruled(2, 'the spans went to the key’s agent', sender);
    refusals.overruled(1, 'the spans went to the key’s agent', sender);
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({ level: 'warn', key_id: 'key-1', peer: '192.0.2.1' });
    expect(await metrics.text()).toContain('mibo_gateway_scope_conflicts_total 3');
  });

  test('an internal fault is logged with its cause, which the client never sees', () => {
    const { refusals, events } = observed();
    refusals.record(GatewayError.from(new Error('disk on fire')), request);
    expect(events()[0]).toMatchObject({ level: 'error', err: { message: 'disk on fire' } });
    expect(events()[0].hint).not.toContain('fire');
  });
});

describe('counters', () => {
  test('items are counted by outcome and reason', async () => {
    const { metrics } = observed();
    metrics.items('accepted', 5);
    metrics.items('dropped', 2, 'retries_exhausted');
    metrics.items('rejected', 0, 'malformed');
    const text = await metrics.text();
    expect(text).toContain('mibo_gateway_items_total{outcome="accepted",reason="none"} 5');
    expect(text).toContain(
      'mibo_gateway_items_total{outcome="dropped",reason="retries_exhausted"} 2',
    );
    expect(text).not.toContain('malformed');
  });
});

test('reasons for a loss are there from the start, so an alarm sees the first one', async () => {
  const text = await createObservability({ level: 'silent' }).metrics.text();
  for (const reason of dropReasons) {
    expect(text).toContain(`mibo_gateway_items_total{outcome="dropped",reason="${reason}"} 0`);
  }
});

describe('the health listener', () => {
  let health: Health | undefined;
  afterEach(() => health?.stop());

  async function serve(failing: () => string | undefined) {
    const { metrics } = observed();
    const at = { host: '127.0.0.1', port: 0 };
    health = createHealth({
      health: at,
      metricsAt: at,
      metrics,
      checks: [{ name: 'store', failing }],
    });
    return health.start();
  }

  test('is ready when every check passes, and says which one does not', async () => {
    let reason: string | undefined = 'cannot be reached';
    const { healthPort } = await serve(() => reason);
    expect(await fetchText(healthPort, '/readyz')).toEqual({
      status: 503,
      body: '{"status":"not ready","reasons":["store: cannot be reached"]}\n',
    });
    expect((await fetchText(healthPort, '/livez')).status).toBe(200);
    reason = undefined;
    expect((await fetchText(healthPort, '/')).body).toContain('ready');
    expect((await fetchText(healthPort, '/nothing')).status).toBe(404);
  });

  test('metrics are served in the Prometheus text format', async () => {
    const { metricsPort } = await serve(() => undefined);
    const { status, body } = await fetchText(metricsPort, '/metrics');
    expect(status).toBe(200);
    expect(body).toContain('# TYPE mibo_gateway_requests_total counter');
    expect((await fetchText(metricsPort, '/')).status).toBe(404);
  });
});

function fetchText(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    }).on('error', reject);
  });
}
