/**
 * Servers that tests start leave nothing behind, even if the test process is killed by SIGKILL: a
 * tiny shell waits at a pipe whose other end only this process holds. The pipe ends when this
 * process does, however it does, and then the shell kills the server with all its children and
 * deletes its folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export type Watcher = {
  /** The server to end with us; several one after another, never two at a time. */
  watch(server: ChildProcess): void;
  /** Deletes the folder. Call it once the server has ended. */
  close(): Promise<void>;
};

/**
 * Reads pids, the last one counts; 0 is none. Stops the server before it looks for children, and
 * kills it last, since PostgreSQL replaces them, and orphans could not be found any more.
 */
const script = `
trap "" HUP INT TERM
current=0
while read -r pid; do current=$pid; done
if [ "$current" -gt 0 ]; then
  kill -STOP "$current"
  ps -A -o pid= -o ppid= | while read -r pid parent; do
    if [ "$parent" = "$current" ]; then kill -KILL "$pid"; fi
  done
  kill -KILL "$current"
fi
rm -rf "$1"
`;

/** `folder`: what the server keeps on disk. */
export function startWatcher(folder: string): Watcher {
  const shell = spawn('/bin/sh', ['-c', script, 'mibo-test-watcher', folder], {
    // Detached: a Ctrl-C on the terminal reaches the tests, not what tidies up after them.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // One that is gone already has nothing left to be told.
  shell.stdin.on('error', () => {});
  const ended = once(shell, 'exit');
  return {
    watch(server) {
      if (server.pid === undefined || server.exitCode !== null) return;
      shell.stdin.write(`${server.pid}\n`);
      server.once('exit', () => shell.stdin.writable && shell.stdin.write('0\n'));
    },
    async close() {
      shell.stdin.end();
      await ended;
    },
  };
}
