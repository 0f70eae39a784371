/**
 * Servers that tests start leave nothing behind, even if the test process is killed by SIGKILL: a
 * tiny shell waits at a pipe whose other end only this process holds. The pipe ends when this
 * process does, however it does, and then the shell kills the server and deletes its folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const watcher = 'trap "" HUP INT TERM; read -r word || { kill -9 "$0"; rm -rf "$1"; }';

/** `folder`: what the server keeps on disk. Ends with the server; then nothing is done. */
export function diesWithUs(server: ChildProcess, folder: string): void {
  if (server.pid === undefined || server.exitCode !== null) return;
  // Detached: a Ctrl-C on the terminal reaches the tests, not what tidies up after them.
  const shell = spawn('/bin/sh', ['-c', watcher, String(server.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // A shell that is gone already has nothing left to be told.
  shell.stdin.on('error', () => {});
  shell.unref();
  server.once('exit', () => shell.stdin.end('over\n'));
}
