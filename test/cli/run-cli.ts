/** Runs commands in this process, in a folder of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExitCode, type Io, runCli } from '../../src/cli/cli.ts';

export type Ran = { readonly code: ExitCode; readonly stdout: string; readonly stderr: string };

export type Desk = {
  readonly folder: string;
  readonly storePath: string;
  /** Runs a registry command on this desk's store. */
  registry(...args: readonly string[]): Promise<Ran>;
  run(args: readonly string[], world?: Partial<World>): Promise<Ran>;
  close(): void;
};

export type World = {
  readonly stdin: string;
  readonly env: NodeJS.ProcessEnv;
  /** Called for each piece that is written. */
  readonly onStdout: (text: string) => void;
  readonly onStderr: (text: string) => void;
  readonly stopRequested: () => Promise<string>;
};

export function createDesk(): Desk {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-cli-'));
  const storePath = join(folder, 'data', 'keys.db');
  return {
    folder,
    storePath,
    registry: (...args) => run([...args, '--set', `auth.store.path=${storePath}`]),
    run,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function run(args: readonly string[], world: Partial<World> = {}): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const io: Io = {
    stdin: (async function* () {
      yield world.stdin ?? '';
    })(),
    stdout: {
      write(text) {
        stdout += text;
        world.onStdout?.(text);
      },
    },
    stderr: {
      write(text) {
        stderr += text;
        world.onStderr?.(text);
      },
    },
    env: world.env ?? {},
    program: 'mibo-gateway',
    stopRequested: world.stopRequested ?? (() => new Promise(() => {})),
  };
  const code = await runCli(args, io);
  return { code, stdout, stderr };
}
