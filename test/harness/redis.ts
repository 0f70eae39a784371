/** A real Redis of a test's own: on a port and in a folder of its own, gone with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startWatcher, type Watcher } from './dies-with-us.ts';
import { sparePort } from './spare-port.ts';

export type RedisServer = {
  /** `redis://127.0.0.1:<port>`, without a password. */
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now. */
  readonly pid: number;
  /** Where it keeps `dump.rdb`. */
  readonly folder: string;
  /** One command on a connection of its own, as the default user: `command('SET', 'a', '1')`. */
  command(...args: readonly (string | number)[]): Promise<unknown>;
  /** Stops the process where it is: connections stay, nothing is answered. */
  pause(): void;
  resume(): void;
  /** Ends it at once; what was not saved is lost. Resolves once it is gone. */
  stop(): Promise<void>;
  /** Again on the same port and folder. Resolves once it answers. */
  start(): Promise<void>;
  close(): Promise<void>;
};

export type RedisServerOptions = {
  /** Beside those of the harness, as on the command line: `['--requirepass', 'x']`. */
  readonly args?: readonly string[];
  /** A Sentinel instead, with these lines in its file: `sentinel monitor main 127.0.0.1 … 1`. */
  readonly sentinel?: readonly string[];
};

/** No persistence unless `args` ask for it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-test-redis-'));
  const args = [...modeArgs(folder, options.sentinel), ...(options.args ?? [])];
  const watcher = startWatcher(folder);
  const launching = { folder, args, watcher };
  let { port, child } = await launchOnSparePort(launching).catch(async (error: unknown) => {
    await watcher.close();
    throw error;
  });

  function stop(): Promise<void> {
    return ended(child);
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    folder,
    get pid() {
      return child.pid ?? 0;
    },
    command: (...words) => ask(port, passwordIn(args), words),
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop,
    async start() {
      const started = await launch({ ...launching, port });
      if (typeof started === 'string') throw new Error(`redis-server did not start: ${started}`);
      child = started;
    },
    async close() {
      await stop();
      await watcher.close();
    },
  };
}

/** A Sentinel keeps what it learns in its file, and refuses the settings of a server. */
function modeArgs(folder: string, sentinel: readonly string[] | undefined): readonly string[] {
  if (sentinel === undefined) return ['--save', '', '--appendonly', 'no'];
  const file = join(folder, 'sentinel.conf');
  writeFileSync(file, sentinel.join('\n'));
  return [file, '--sentinel'];
}

type Launch = {
  readonly port: number;
  readonly folder: string;
  readonly args: readonly string[];
  readonly watcher: Watcher;
};

async function launchOnSparePort(
  launching: Omit<Launch, 'port'>,
): Promise<{ port: number; child: ChildProcess }> {
  for (;;) {
    const port = sparePort();
    const child = await launch({ ...launching, port });
    if (typeof child !== 'string') return { port, child };
    if (!/Address already in use/.test(child)) {
      throw new Error(`redis-server did not start: ${child}`);
    }
  }
}

/** The process once it accepts connections, or what it said before it ended. */
function launch({ port, folder, args, watcher }: Launch): Promise<ChildProcess | string> {
  const bin = process.env.MIBO_TEST_REDIS_BIN ?? 'redis-server';
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn(bin, [...args, ...place, '--daemonize', 'no']);
  return new Promise((resolve, reject) => {
    let said = '';
    child.once('error', () => {
      reject(
        new Error(
          `install Redis (apt-get install redis-server, brew install redis), or set ` +
            `MIBO_TEST_REDIS_BIN to the program: ${bin} cannot be run`,
        ),
      );
    });
    child.once('close', () => resolve(said));
    child.stderr.on('data', (text) => {
      said += text;
    });
    child.stdout.on('data', (text) => {
      said += text;
      if (/Ready to accept connections|Sentinel ID is/.test(said)) resolve(child);
    });
    watcher.watch(child);
  });
}

/** By SIGKILL, which also ends a process that is stopped. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function passwordIn(args: readonly string[]): string | undefined {
  const at = args.indexOf('--requirepass');
  return at < 0 ? undefined : args[at + 1];
}

async function ask(
  port: number,
  password: string | undefined,
  words: readonly (string | number)[],
): Promise<unknown> {
  const [command = '', ...args] = words;
  const client = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    retryStrategy: null,
    ...(password === undefined ? {} : { password }),
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await client.call(String(command), ...args);
  } finally {
    client.disconnect();
  }
}
