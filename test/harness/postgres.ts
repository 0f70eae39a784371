/** A real PostgreSQL of a test: a port and data of its own, gone when the test process is gone. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startWatcher, type Watcher } from './dies-with-us.ts';
import { copyOfTemplate, findPrograms, type Programs } from './postgres-install.ts';

export type PostgresServer = {
  /** Of the superuser, who needs no password; other roles do (scram-sha-256). */
  readonly url: string;
  /** Of the postmaster. */
  readonly pid: number;
  readonly dataFolder: string;
  /** The URL of a new, empty database. */
  freshDatabase(): Promise<string>;
  /** SIGSTOP to the postmaster and all its backends: connections stay open and nothing answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** At once, as after a crash. */
  stop(): Promise<void>;
  /** Again, on the same port and data. */
  start(): Promise<void>;
  /** Stops it and deletes its data. */
  close(): Promise<void>;
};

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  max_connections: '200',
  lc_messages: 'C',
  log_min_messages: 'warning',
} as const;

const ready = /database system is ready to accept (?:read-only )?connections/;
/** A port may be taken between the look and the start. */
const startAttempts = 5;

export async function startPostgres(): Promise<PostgresServer> {
  const programs = findPrograms();
  const dataFolder = mkdtempSync(join(tmpdir(), 'mibo-postgres-'));
  if (programs.user !== undefined) chownSync(dataFolder, programs.user.uid, programs.user.gid);
  const watcher = startWatcher(dataFolder);
  await copyOfTemplate(programs, dataFolder);
  const { port, first } = await startOnFreePort({ programs, dataFolder, watcher });
  let postmaster: ChildProcess | undefined = first;
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;

  async function signalAll(signal: NodeJS.Signals): Promise<void> {
    const pid = postmaster?.pid;
    if (pid === undefined) return;
    // The postmaster first: from then on it makes no new children.
    process.kill(pid, signal);
    for (const child of await childrenOf(pid)) sendTo(child, signal);
  }

  async function stop(): Promise<void> {
    if (postmaster === undefined) return;
    await signalAll('SIGCONT');
    const exited = once(postmaster, 'exit');
    postmaster.kill('SIGQUIT');
    await exited;
    postmaster = undefined;
  }

  return {
    url,
    get pid() {
      if (postmaster?.pid === undefined) throw new Error('the server is stopped');
      return postmaster.pid;
    },
    dataFolder,
    freshDatabase: () => createDatabase(url),
    pause: () => signalAll('SIGSTOP'),
    resume: () => signalAll('SIGCONT'),
    stop,
    async start() {
      if (postmaster !== undefined) throw new Error('the server runs already');
      postmaster = await startPostmaster({ programs, dataFolder, watcher, port });
    },
    async close() {
      await stop();
      await watcher.close();
    },
  };
}

async function createDatabase(serverUrl: string): Promise<string> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  await client.query(`CREATE DATABASE ${name}`);
  await client.end();
  return serverUrl.replace(/postgres$/, name);
}

type Starting = {
  readonly programs: Programs;
  readonly dataFolder: string;
  readonly watcher: Watcher;
};

async function startOnFreePort(
  starting: Starting,
): Promise<{ readonly port: number; readonly first: ChildProcess }> {
  let fault: unknown;
  for (let attempt = 0; attempt < startAttempts; attempt += 1) {
    const port = await freePort();
    try {
      return { port, first: await startPostmaster({ ...starting, port }) };
    } catch (error) {
      fault = error;
    }
  }
  throw fault;
}

/** Resolves once it accepts connections. */
async function startPostmaster(
  starting: Starting & { readonly port: number },
): Promise<ChildProcess> {
  const { programs, dataFolder, watcher, port } = starting;
  const args = ['-D', dataFolder, '-p', String(port)];
  for (const [name, value] of Object.entries(settings)) args.push('-c', `${name}=${value}`);
  const postmaster = spawn(join(programs.folder, 'postgres'), args, {
    ...programs.user,
    cwd: dataFolder,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  watcher.watch(postmaster);
  let log = '';
  await new Promise<void>((resolve, reject) => {
    postmaster.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = `${log}${text}`.slice(-20_000);
      if (ready.test(log)) resolve();
    });
    postmaster.on('error', reject);
    postmaster.on('exit', () => reject(new Error(`PostgreSQL did not start:\n${log}`)));
  });
  return postmaster;
}

async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=', '-o', 'ppid=']);
  return stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid = 0]) => pid);
}

function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in the meantime.
  }
}

/** Below the range from which systems take ports for outgoing connections, so it stays free. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(15_000, 32_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
