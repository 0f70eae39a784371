/**
 * `dev`, which is `npm start`: the gateway and a sink in one process, with something to paste.
 *
 * Everything listens on this machine only. Deliveries are synchronous, so that a trace is seen when
 * its sender is told that it arrived.
 */
import { openStore } from '../auth/auth.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { createGateway } from '../gateway.ts';
import { createObservability } from '../observability/observability.ts';
import { type AgentNames, createAgentNames } from './agent-names.ts';
import type { CommandLine } from './command-line.ts';
import { type Demo, ensureDemo } from './demo.ts';
import { devLines } from './dev-lines.ts';
import { createDevLog } from './dev-log.ts';
import { harmless } from './harmless.ts';
import type { Io } from './io.ts';
import { canOpen, gatewayListeners, requireOpenable } from './listeners.ts';
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
  `admin.endpoint=${host}:8080`,
  'telemetry.logs.level=warn',
  'delivery.mode=sync',
  `downstream.endpoint=${ownSink}`,
];

export async function dev(io: Io, options: SettingsOptions): Promise<void> {
  const config = await withFreeAdminPort(loadDevConfig(io, options), options);
  const stopRequested = io.stopRequested();
  await requireOpenable(gatewayListeners(config), commandLine(io, options));
  const place = config.auth.store;
  // Kept open: others register agents meanwhile, and their traces are to be shown by name.
  const { store } = await openStore({ place, clock: systemClock });
  try {
    const demo = await ensureDemo(store, place.path);
    await run(io, { config, demo, agentNames: createAgentNames(store), stopRequested });
  } finally {
    await store.close();
  }
  io.stdout.write('# stopped\n');
}

type Run = {
  readonly config: Config;
  readonly demo: Demo;
  readonly agentNames: AgentNames;
  readonly stopRequested: Promise<string>;
};

async function run(io: Io, { config, demo, agentNames, stopRequested }: Run): Promise<void> {
  const sink = createDevSink(io, { config, agentNames });
  const endpoint = `http://${host}:${await sink.start()}`;
  const own = config.downstream.endpoint === ownSink;
  const downstream = own ? { ...config.downstream, endpoint } : config.downstream;
  const observability = createObservability({
    level: config.telemetry.logs.level,
    destination: createDevLog((line) => io.stdout.write(line)),
  });
  const gateway = createGateway({ config: { ...config, downstream }, observability });
  const listeners = gatewayListeners(config, await gateway.start());
  const arrivals = own ? 'here, a line for each trace' : config.downstream.endpoint;
  for (const line of devLines({ config, demo, listeners, arrivals })) io.stdout.write(`${line}\n`);
  await stopRequested;
  await gateway.stop();
  await sink.stop();
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

/**
 * Many other programs like that port. Senders need not know it, and the line that names it is read
 * each time: another one is no reason to stop, unless the user has asked for this one.
 */
async function withFreeAdminPort(config: Config, { set = [] }: SettingsOptions): Promise<Config> {
  const { endpoint } = config.admin;
  const isGiven = set.some((setting) => setting.startsWith('admin.endpoint='));
  if (endpoint === null || isGiven || (await canOpen(endpoint))) return config;
  return { ...config, admin: { ...config.admin, endpoint: { ...endpoint, port: 0 } } };
}

/** As the user has called it. */
function commandLine({ env, program }: Io, options: SettingsOptions): CommandLine {
  const command = env.npm_lifecycle_event === 'start' ? 'npm start --' : `${program} dev`;
  return { command, given: givenSettings(options) };
}

function createDevSink(io: Io, { config, agentNames }: Pick<Run, 'config' | 'agentNames'>): Sink {
  return createSink({
    host,
    port: 0,
    attribute: config.routing.attribute,
    async onDelivery(delivery) {
      const names = await agentNames(delivery.traces.map(({ agentId }) => agentId));
      const agentName = (id: string) => names.get(id);
      const lines = traceLines(delivery, { at: new Date(), agentName, readable: harmless });
      for (const line of lines) io.stdout.write(`# ${line}\n`);
    },
  });
}
