/**
 * `dev`, which is `npm start`: the gateway and a sink in one process, with something to paste.
 *
 * Everything listens on this machine only. Deliveries are synchronous, so that a trace is seen when
 * its sender is told that it arrived.
 */
import { openSqliteStore } from '../auth/auth.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { createGateway } from '../gateway.ts';
import { createObservability } from '../observability/observability.ts';
import type { CommandLine } from './command-line.ts';
import { type Demo, ensureDemo } from './demo.ts';
import { devLines } from './dev-lines.ts';
import type { Io } from './io.ts';
import { gatewayListeners, requireOpenable } from './listeners.ts';
import { Refusal } from './refusal.ts';
import { givenSettings, type SettingsOptions } from './settings.ts';
import { createSink, type Sink } from './sink.ts';
import { traceLines } from './sink-lines.ts';

const host = '127.0.0.1';
/** Stands for our own sink until its port is known; no real host has this name. */
const ownSink = 'http://sink.invalid';

const devSettings = [
  `receivers.otlp.protocols.grpc.endpoint=${host}:4317`,
  `receivers.otlp.protocols.http.endpoint=${host}:4318`,
  `telemetry.health.endpoint=${host}:13133`,
  `telemetry.metrics.endpoint=${host}:8888`,
  'telemetry.logs.level=warn',
  'delivery.mode=sync',
  `downstream.endpoint=${ownSink}`,
];

export async function dev(io: Io, options: SettingsOptions): Promise<void> {
  const config = loadDevConfig(io, options);
  const stopRequested = io.stopRequested();
  await requireOpenable(gatewayListeners(config), commandLine(io, options));
  const demo = await prepare(config);
  const sink = createDevSink(io, { config, demo });
  const endpoint = `http://${host}:${await sink.start()}`;
  const own = config.downstream.endpoint === ownSink;
  const downstream = own ? { ...config.downstream, endpoint } : config.downstream;
  const observability = createObservability({ level: config.telemetry.logs.level });
  const gateway = createGateway({ config: { ...config, downstream }, observability });
  const listeners = gatewayListeners(config, await gateway.start());
  const arrivals = own ? 'here, a line for each trace' : config.downstream.endpoint;
  for (const line of devLines({ config, demo, listeners, arrivals })) io.stdout.write(`${line}\n`);
  await stopRequested;
  await gateway.stop();
  await sink.stop();
  io.stdout.write('# stopped\n');
}

/**
 * The defaults and what is given on the command line. `./config/gateway.yaml` is left out: it may
 * describe a production system, and the demo's project has no place in its store.
 */
function loadDevConfig(io: Io, options: SettingsOptions): Config {
  const sets = [...devSettings, ...(options.set ?? [])];
  const config = loadConfig({ files: options.config ?? [], sets, env: io.env });
  if (config.auth.mode === 'keys') return config;
  throw new Refusal('use `mibo-gateway start`: the demo needs auth.mode keys, for keys of its own');
}

/** As the user has called it. */
function commandLine({ env, program }: Io, options: SettingsOptions): CommandLine {
  const command = env.npm_lifecycle_event === 'start' ? 'npm start --' : `${program} dev`;
  return { command, given: givenSettings(options) };
}

async function prepare(config: Config): Promise<Demo> {
  const { path } = config.auth.store;
  const store = openSqliteStore({ path, clock: systemClock });
  try {
    return await ensureDemo(store, path);
  } finally {
    await store.close();
  }
}

function createDevSink(io: Io, { config, demo }: { config: Config; demo: Demo }): Sink {
  return createSink({
    host,
    port: 0,
    attribute: config.routing.attribute,
    onDelivery(delivery) {
      const agentName = (id: string) => demo.agentNames.get(id);
      for (const line of traceLines(delivery, { at: new Date(), agentName })) {
        io.stdout.write(`# ${line}\n`);
      }
    },
  });
}
