/**
 * What a user of any SDK relies on, once for each SDK: the spans of an app that knows nothing of
 * the gateway arrive, all of them, for the right agent; and what must not arrive does not.
 */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { salesBot, supportBot } from '../../src/cli/demo.ts';
import { createSink, type Sink, type SinkDelivery } from '../../src/cli/sink.ts';
import { type DevProcess, paste, startDev } from './dev-process.ts';

export type SdkClient = {
  readonly name: string;
  /** The command that sends one trace and prints the ids of its spans. */
  readonly command: readonly [string, ...string[]];
  readonly httpProtocols: readonly string[];
};

type Sent = { readonly ids: readonly SpanIds[]; readonly stderr: string };
type SpanIds = { readonly traceId: string; readonly spanId: string };

export function describeSdk(client: SdkClient): void {
  const deliveries: SinkDelivery[] = [];
  let sink: Sink;
  let dev: DevProcess;

  beforeAll(async () => {
    const onDelivery = (delivery: SinkDelivery) => void deliveries.push(delivery);
    sink = createSink({ host: '127.0.0.1', port: 0, attribute: 'mibo.platform_id', onDelivery });
    const port = await sink.start();
    dev = await startDev({ sets: [`downstream.endpoint=http://127.0.0.1:${port}`] });
  });
  afterAll(async () => {
    await dev.stop();
    await sink.stop();
  });
  beforeEach(() => {
    deliveries.length = 0;
  });

  async function expectArrived(env: NodeJS.ProcessEnv, agentId: string): Promise<void> {
    const { ids, stderr } = await send(client, env);
    expect(stderr).toBe('');
    const arrived = deliveries.flatMap(({ spans }) => spans);
    expect(sorted(arrived)).toEqual(sorted(ids));
    expect(arrived.map(({ name }) => name).sort()).toEqual([
      'answer the customer',
      'look up',
      'reply',
      'think',
    ]);
    for (const { headers, traces } of deliveries) {
      expect(headers['x-mibo-platform-id']).toBe(agentId);
      expect(traces.map((trace) => trace.agentId)).toEqual([agentId]);
    }
  }

  describe.each(['no', 'gzip'])(`${client.name}, %s compression`, (compression) => {
    const pasted = (group: 1 | 2 | 3): NodeJS.ProcessEnv => ({
      ...paste(dev.lines(group)),
      // Python's gRPC exporter knows no word for none.
      ...(compression === 'no' ? {} : { OTEL_EXPORTER_OTLP_COMPRESSION: compression }),
    });

    test.each(client.httpProtocols)('%s with the key of one agent', async (protocol) => {
      await expectArrived({ ...pasted(1), OTEL_EXPORTER_OTLP_PROTOCOL: protocol }, supportBot.id);
    });

    test('gRPC with the key of one agent', async () => {
      await expectArrived(pasted(2), supportBot.id);
    });

    test.each([...client.httpProtocols, 'grpc'])(
      '%s with the key of all agents and the attribute',
      async (protocol) => {
        const { OTEL_EXPORTER_OTLP_ENDPOINT } = pasted(protocol === 'grpc' ? 2 : 3);
        const settings = { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: protocol };
        await expectArrived({ ...pasted(3), ...settings }, salesBot.id);
      },
    );
  });

  describe(`${client.name}, refused`, () => {
    test.each([1, 2] as const)(
      'a wrong key: nothing arrives, and it says so (group %d)',
      async (group) => {
        const env = paste(dev.lines(group));
        const wrong = { OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=mibo_this-is-not-a-key-of-yours' };
        const { stderr } = await send(client, { ...env, ...wrong });
        expect(deliveries).toEqual([]);
        expect(stderr).toMatch(/api.key|401|UNAUTHENTICATED/i);
      },
    );

    test.each(['http/protobuf', 'grpc'])(
      'no target over %s: the hint says how',
      async (protocol) => {
        const { OTEL_EXPORTER_OTLP_ENDPOINT } = paste(dev.lines(protocol === 'grpc' ? 2 : 3));
        const { stderr } = await send(client, {
          ...paste(dev.lines(3)),
          OTEL_EXPORTER_OTLP_ENDPOINT,
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
          OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
        });
        expect(deliveries).toEqual([]);
        expect(stderr).toContain('mibo.platform_id');
      },
    );
  });
}

function send({ command }: SdkClient, env: NodeJS.ProcessEnv): Promise<Sent> {
  const [program, ...args] = command;
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve({ ids: JSON.parse(stdout), stderr });
      else reject(new Error(`${command.join(' ')} ended with ${code}: ${stderr}`));
    });
  });
}

function sorted(ids: readonly SpanIds[]): string[] {
  return ids.map(({ traceId, spanId }) => `${traceId} ${spanId}`).sort();
}
