/** The real gateway as its own process, with keys and agents made by its own commands. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pinnedCommand } from './child.ts';
import { agentIds } from './payloads.ts';

const program = join(import.meta.dirname, '../bin/mibo-gateway.js');
const startWaitMs = 20_000;

export type Site = {
  readonly folder: string;
  readonly configPath: string;
  /** Reaches every agent of the project; the request names one. */
  readonly unrestrictedKey: string;
  /** Scoped to the first agent alone. */
  readonly singleAgentKey: string;
  remove(): void;
};

/** Everything in a folder of its own; listeners on free ports of the loopback. */
export function createSite(sinkPort: number): Site {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-bench-'));
  const configPath = join(folder, 'gateway.yaml');
  writeFileSync(configPath, configText(folder, sinkPort));
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [program, ...args, '--config', configPath], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  run('projects', 'add', 'bench');
  agentIds.forEach((id, index) => {
    run('agents', 'add', id, '--project', 'bench', '--name', `Agent ${index + 1}`);
  });
  const key = (name: string, ...scope: string[]) =>
    run('keys', 'create', '--project', 'bench', '--name', name, ...scope);
  return {
    folder,
    configPath,
    unrestrictedKey: key('unrestricted'),
    singleAgentKey: key('single agent', '--agent', agentIds[0]),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function configText(folder: string, sinkPort: number): string {
  return `receivers:
  otlp:
    protocols:
      grpc: { endpoint: 127.0.0.1:0 }
      http: { endpoint: 127.0.0.1:0 }
auth: { store: { path: ${JSON.stringify(join(folder, 'keys.db'))} } }
downstream: { endpoint: http://127.0.0.1:${sinkPort} }
admin: { endpoint: "" }
telemetry:
  metrics: { endpoint: 127.0.0.1:0 }
  health: { endpoint: 127.0.0.1:0 }
`;
}

export type RunningGateway = {
  readonly pid: number;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** What it logged above `info`, for a row that failed. */
  complaints(): readonly string[];
  stop(): Promise<void>;
};

export type StartOptions = {
  readonly site: Site;
  readonly mode: string;
  /** Node's own options, such as those of its profiler. */
  readonly nodeOptions: readonly string[];
};

export function startGateway({ site, mode, nodeOptions }: StartOptions): Promise<RunningGateway> {
  const [command, args] = pinnedCommand('server', [
    ...nodeOptions,
    ...[program, 'start', '--config', site.configPath, '--set', `delivery.mode=${mode}`],
  ]);
  const child = spawn(command, args, { cwd: site.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ports = new Map<string, number>();
  const complaints: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${why}\n${complaints.join('\n')}`));
    const timer = setTimeout(() => fail('the gateway did not become ready'), startWaitMs);
    child.once('exit', (code) => fail(`the gateway ended with ${code}`));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const entry = parse(line);
      if (entry.msg === 'listening') ports.set(String(entry.listener), Number(entry.port));
      else if (entry.level !== 'info') complaints.push(complaintOf(entry) ?? line);
      if (entry.msg !== 'ready') return;
      clearTimeout(timer);
      resolve({
        pid: child.pid as number,
        grpcPort: ports.get('otlp_grpc') as number,
        httpPort: ports.get('otlp_http') as number,
        complaints: () => complaints,
        async stop() {
          child.kill('SIGTERM');
          await exited;
        },
      });
    });
  });
}

/** Undefined for what is no log entry. Without the time, so that equal ones are equal. */
function complaintOf(entry: Record<string, unknown>): string | undefined {
  if (entry.msg === undefined) return undefined;
  const { message } = (entry.err ?? {}) as { message?: unknown };
  const parts = [entry.level, entry.msg, entry.kind, entry.hint, message];
  return `it logged: ${parts.filter((part) => part !== undefined).join(', ')}`;
}

/** A line that is no log entry, such as a crash, is kept like a complaint. */
function parse(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return {};
  }
}
