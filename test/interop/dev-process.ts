/** `npm start` as a user meets it: a process that prints lines, and a shell that takes them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cleanEnvironment } from '../harness/command.ts';
import { createWaiting } from '../harness/waiting.ts';

const bin = resolve(import.meta.dirname, '../../bin/mibo-gateway.js');
const anyPort = [
  'receivers.otlp.protocols.grpc',
  'receivers.otlp.protocols.http',
  'telemetry.health',
  'telemetry.metrics',
].flatMap((name) => ['--set', `${name}.endpoint=127.0.0.1:0`]);
const anyAdminPort = ['--set', 'admin.endpoint=127.0.0.1:0'];

/** 1: one agent over HTTP · 2: the same over gRPC · 3: all agents · 4: curl. */
export type Group = 1 | 2 | 3 | 4;

export type DevProcess = {
  readonly folder: string;
  /** All of standard output so far. */
  stdout(): string;
  /** The same of standard error. */
  stderr(): string;
  /** The printed lines of one group, with those that hold for all. */
  lines(group: Group): string;
  /** Resolves once standard output holds the text. */
  printed(text: string): Promise<void>;
  /** Asks it to stop; resolves with its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

export type DevOptions = {
  readonly folder?: string;
  readonly sets?: readonly string[];
  /** The Node that runs the bootstrap. */
  readonly node?: string;
  /** Says nothing about the admin API's address. */
  readonly adminByDefault?: boolean;
};

export async function startDev(options: DevOptions = {}): Promise<DevProcess> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'mibo-dev-'));
  const sets = (options.sets ?? []).flatMap((set) => ['--set', set]);
  const node = options.node ?? process.execPath;
  const admin = options.adminByDefault ? [] : anyAdminPort;
  const child = spawn(node, [bin, 'dev', ...anyPort, ...admin, ...sets], {
    cwd: folder,
    env: cleanEnvironment(),
  });
  const ended = new Promise<number | null>((done) => child.on('close', done));
  const output = watch(child, ended);
  await output.printed('# Traces arrive');
  return {
    folder,
    stdout: output.stdout,
    stderr: output.stderr,
    printed: output.printed,
    lines: (group) => linesOf(output.stdout(), group),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const code = await ended;
      if (options.folder === undefined) rmSync(folder, { recursive: true });
      return code;
    },
  };
}

function watch(child: ChildProcess, ended: Promise<number | null>) {
  let [stdout, stderr] = ['', ''];
  const waiting = createWaiting();
  child.stdout?.on('data', (chunk) => {
    stdout += chunk;
    waiting.look();
  });
  child.stderr?.on('data', (chunk) => {
    stderr += chunk;
  });
  const printed = (text: string) =>
    new Promise<void>((done, fail) => {
      void waiting.until(() => stdout.includes(text)).then(done);
      void ended.then((code) => fail(new Error(`ended with ${code}: ${stderr}${stdout}`)));
    });
  return { stdout: () => stdout, stderr: () => stderr, printed };
}

function linesOf(stdout: string, group: Group): string {
  const [common = '', ...groups] = stdout.split(/^# (?=\d\. )/m);
  return `${common}# ${groups[group - 1]}`;
}

/** What a shell makes of pasted lines: the environment of the app that is started next. */
export function paste(lines: string): NodeJS.ProcessEnv {
  const script = `${lines}\nenv -0`;
  const env = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' };
  const printed = execFileSync('bash', ['-c', script], { env, encoding: 'utf8' });
  return Object.fromEntries(
    printed
      .split('\0')
      .filter((entry) => entry !== '')
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  );
}
