/** `start` in processes of their own, in one folder, with every listener on a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bin, cleanEnvironment } from '../harness/command.ts';
import { createWaiting } from '../harness/waiting.ts';

export type LogLine = Readonly<Record<string, unknown>>;

export type Started = {
  readonly child: ChildProcess;
  readonly log: LogLine[];
  /** What was written beside the log, for people. */
  readonly said: () => string;
  readonly stdout: () => string;
  /** Resolves with the first line of the log, past or to come, that has this message. */
  logged(msg: string | RegExp): Promise<LogLine>;
  port(listener: string): Promise<number>;
  readonly ended: Promise<number | null>;
};

export type Starts = {
  readonly folder: string;
  start(sets?: readonly string[], env?: NodeJS.ProcessEnv): Started;
  killAll(): void;
  close(): void;
};

const endpoints = [
  'receivers.otlp.protocols.grpc.endpoint',
  'receivers.otlp.protocols.http.endpoint',
  'telemetry.health.endpoint',
  'telemetry.metrics.endpoint',
  'admin.endpoint',
].map((name) => `${name}=127.0.0.1:0`);

export function createStarts(): Starts {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-start-'));
  const children: ChildProcess[] = [];
  const killAll = () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  };
  return {
    folder,
    start(sets = [], env = {}) {
      const args = [...endpoints, ...sets].flatMap((set) => ['--set', set]);
      const child = spawn(process.execPath, [bin, 'start', ...args], {
        cwd: folder,
        env: { ...cleanEnvironment(), ...env },
      });
      children.push(child);
      return watch(child);
    },
    killAll,
    close() {
      killAll();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function watch(child: ChildProcess): Started {
  const log: LogLine[] = [];
  const waiting = createWaiting();
  let [stdout, rest, said] = ['', '', ''];
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{')) log.push(JSON.parse(line));
      else said += `${line}\n`;
    }
    waiting.look();
  });
  const find = async (matches: (line: LogLine) => boolean) => {
    await waiting.until(() => log.some(matches));
    return log.find(matches) as LogLine;
  };
  return {
    child,
    log,
    said: () => said,
    stdout: () => stdout,
    logged: (msg) =>
      find((line) => (typeof msg === 'string' ? line.msg === msg : msg.test(String(line.msg)))),
    port: async (name) => Number((await find(({ listener }) => listener === name)).port),
    ended: new Promise((done) => child.on('close', done)),
  };
}
