/**
 * A gateway as a user runs it: `mibo-gateway start` in a process and a folder of its own, on free
 * ports, with its registry made by the real command line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { bin, cleanEnvironment, type Ran, run } from './command.ts';
import { getText } from './http-client.ts';
import { createWaiting } from './waiting.ts';

export type Ports = {
  readonly grpc: number;
  readonly http: number;
  readonly health: number;
  readonly metrics: number;
  /** Undefined where `admin.endpoint` is empty. */
  readonly admin: number | undefined;
};

export type GatewayProcess = {
  readonly pid: number;
  readonly ports: Ports;
  /** Standard error so far: one JSON line per event. */
  logs(): string;
  /** Resolves with the text once a log line matches. */
  logged(pattern: RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string>;
  /** SIGTERM, then the exit. */
  stop(): Promise<number | string>;
};

/** A folder with a configuration; several gateways may run on it, one after the other. */
export type Workspace = {
  readonly folder: string;
  /** Runs a command on this configuration. */
  command(args: readonly string[], stdin?: string): Promise<Ran>;
  /** `sets` are `a.b=c`, over the configuration. */
  start(...sets: readonly string[]): Promise<GatewayProcess>;
  /** The same, with these variables in its environment. */
  startWith(
    environment: Readonly<Record<string, string>>,
    ...sets: readonly string[]
  ): Promise<GatewayProcess>;
  /** With the product's own sidecar configuration, on free ports. */
  startSidecar(environment: Readonly<Record<string, string>>): Promise<GatewayProcess>;
  /** Ends what still runs, without asking. */
  stopAll(): Promise<void>;
  /** The same, and removes the folder. */
  close(): Promise<void>;
};

export function createWorkspace(settings: { downstream: string }): Workspace {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-journey-'));
  const config = join(folder, 'gateway.yaml');
  writeFileSync(config, JSON.stringify(configuration(settings.downstream), null, 2));
  const running = new Set<GatewayProcess>();
  const stopAll = async (): Promise<void> => {
    for (const gateway of running) {
      gateway.signal('SIGKILL');
      await gateway.exited;
    }
  };
  const start = async (launching: Launching): Promise<GatewayProcess> => {
    const gateway = await launch(folder, launching);
    running.add(gateway);
    gateway.exited.then(() => running.delete(gateway));
    return gateway;
  };
  return {
    folder,
    command: (args, stdin) =>
      run([...args, '--config', config], {
        cwd: folder,
        ...(stdin === undefined ? {} : { stdin }),
      }),
    start: (...sets) => start({ config, sets, environment: {} }),
    startWith: (environment, ...sets) => start({ config, sets, environment }),
    startSidecar: (environment) => start({ config: sidecar, sets: freePorts, environment }),
    stopAll,
    async close() {
      await stopAll();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(downstream: string): object {
  const any = '127.0.0.1:0';
  return {
    receivers: { otlp: { protocols: { grpc: { endpoint: any }, http: { endpoint: any } } } },
    auth: { store: { path: './data/keys.db' } },
    downstream: { endpoint: downstream },
    admin: { endpoint: any },
    telemetry: { metrics: { endpoint: any }, health: { endpoint: any } },
  };
}

const sidecar = resolve(import.meta.dirname, '../../config/sidecar.yaml');
const freePorts = [
  'receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0',
  'receivers.otlp.protocols.http.endpoint=127.0.0.1:0',
  'telemetry.metrics.endpoint=127.0.0.1:0',
  'telemetry.health.endpoint=127.0.0.1:0',
];

type Launching = {
  readonly config: string;
  readonly sets: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
};

async function launch(folder: string, launching: Launching): Promise<GatewayProcess> {
  const sets = launching.sets.flatMap((it) => ['--set', it]);
  const child = spawn(process.execPath, [bin, 'start', '--config', launching.config, ...sets], {
    cwd: folder,
    env: { ...cleanEnvironment(), ...launching.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = collectOutput(child);
  const exited = new Promise<number | string>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const early = exited.then((code) => {
    throw new Error(`the gateway ended with ${code} before it was ready:\n${output.text()}`);
  });
  early.catch(() => {});
  await Promise.race([output.until(() => readPorts(output.text()) !== undefined), early]);
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  return {
    pid: child.pid as number,
    ports: readPorts(output.text()) as Ports,
    logs: output.text,
    logged: (pattern) => output.until(() => pattern.test(output.text())),
    signal,
    exited,
    stop() {
      signal('SIGTERM');
      return exited;
    },
  };
}

function collectOutput(child: ChildProcess) {
  let text = '';
  const waiting = createWaiting();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text += chunk;
      waiting.look();
    });
  }
  return {
    text: () => text,
    until: waiting.until,
  };
}

/** From the `listening` lines of the log; undefined until the `ready` that follows them. */
function readPorts(text: string): Ports | undefined {
  const ports: Record<string, number> = {};
  let ready = false;
  for (const line of text.split('\n').slice(0, -1)) {
    ready ||= line.includes('"msg":"ready"');
    if (!line.includes('"listening"')) continue;
    const event = JSON.parse(line) as { listener: string; port: number };
    ports[event.listener] = event.port;
  }
  const { otlp_grpc: grpc, otlp_http: http, health, metrics, admin } = ports;
  if (ready && grpc && http && health && metrics) return { grpc, http, health, metrics, admin };
  return undefined;
}

/** Only Linux tells; elsewhere the tests measure nothing. */
const tellsMemory = process.platform === 'linux';

/** Resident memory in MiB: now, and the most it was since `forgetPeak`. */
export function residentMib(gateway: GatewayProcess): { now: number; peak: number } {
  if (!tellsMemory) return { now: 0, peak: 0 };
  const status = readFileSync(`/proc/${gateway.pid}/status`, 'utf8');
  const read = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
  return { now: read('VmRSS'), peak: read('VmHWM') };
}

/** The peak starts again from what is resident now (proc(5), clear_refs). */
export function forgetPeak(gateway: GatewayProcess): void {
  if (tellsMemory) writeFileSync(`/proc/${gateway.pid}/clear_refs`, '5');
}

/** Values of one metric by their labels: `outcome="accepted",reason="none"` → 3. */
export async function readMetric(
  gateway: GatewayProcess,
  name: string,
): Promise<Map<string, number>> {
  const text = await getText(gateway.ports.metrics, '/metrics');
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match?.[1] === name) found.set(match[2] ?? '', Number(match[3]));
  }
  return found;
}

/** The spans of one outcome, whatever the reason. */
export async function countItems(gateway: GatewayProcess, outcome: string): Promise<number> {
  const items = await readMetric(gateway, 'mibo_gateway_items_total');
  let total = 0;
  for (const [labels, value] of items) if (labels.includes(`outcome="${outcome}"`)) total += value;
  return total;
}
