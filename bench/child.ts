/** Processes of a run: pinned to a core where `taskset` is there, and called over their channel. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** The server under test has a core of its own; load and sink share the other one. */
export type Role = 'server' | 'load';

export const pinned =
  availableParallelism() > 1 &&
  spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;

export const pinningText = pinned
  ? 'the server on core 0; load and sink on core 1 (taskset)'
  : 'none: taskset or a second core is missing, so load, sink and server disturb one another';

const coreOf: Readonly<Record<Role, number>> = { server: 0, load: 1 };
export const serverCore = coreOf.server;

/** The command line that runs `args` under this Node on the core of `role`. */
export function pinnedCommand(role: Role, args: readonly string[]): [string, string[]] {
  if (!pinned) return [process.execPath, [...args]];
  return ['taskset', ['-c', String(coreOf[role]), process.execPath, ...args]];
}

type Functions = Record<string, (...args: never[]) => unknown>;
type Call = { readonly id: number; readonly name: string; readonly args: unknown[] };
type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** In the child: answers calls one after the other, and ends when the benchmark does. */
export function serveCalls<T extends Functions>(functions: T): void {
  process.on('message', async ({ id, name, args }: Call) => {
    const answer = (result: Omit<Answer, 'id'>) => void process.send?.({ id, ...result });
    try {
      answer({ result: await functions[name]?.(...(args as never[])) });
    } catch (thrown) {
      answer({ error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : `${thrown}` });
    }
  });
  process.on('disconnect', () => process.exit(0));
}

export type Child<T extends Functions> = {
  readonly pid: number;
  call<N extends keyof T & string>(
    name: N,
    ...args: Parameters<T[N]>
  ): Promise<Awaited<ReturnType<T[N]>>>;
  stop(): void;
};

/** `file` stands in this folder and ends with `serveCalls`. */
export function startChild<T extends Functions>(file: string, role: Role): Child<T> {
  const [command, args] = pinnedCommand(role, [join(import.meta.dirname, file)]);
  const child: ChildProcess = spawn(command, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  let lastId = 0;
  child.on('message', (answer: Answer) => waiting.get(answer.id)?.(answer));
  child.on('exit', (code) => {
    for (const [id, settle] of waiting) settle({ id, error: `${file} ended with ${code}` });
  });
  return {
    pid: child.pid as number,
    call: (name, ...args) =>
      new Promise((resolve, reject) => {
        lastId += 1;
        const id = lastId;
        waiting.set(id, ({ result, error }) => {
          waiting.delete(id);
          if (error === undefined) resolve(result as never);
          else reject(new Error(error));
        });
        child.send({ id, name, args });
      }),
    stop: () => child.disconnect(),
  };
}
