/** Runs the real command line as a user does: its own process, in a folder of its own. */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

export const bin = resolve(import.meta.dirname, '../../bin/mibo-gateway.js');

export type Ran = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunOptions = { readonly cwd: string; readonly stdin?: string };

export function run(args: readonly string[], options: RunOptions): Promise<Ran> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: options.cwd,
      env: cleanEnvironment(),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('error', fail);
    child.on('close', (code) => done({ code, stdout, stderr }));
    child.stdin.end(options.stdin ?? '');
  });
}

/** Without the settings of the machine that the tests happen to run on. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return Object.fromEntries(kept);
}

const foreign = /^(MIBO_|OTEL_|NODE_OPTIONS|VITEST|DATABASE_URL$|REDIS_URL$|.*_proxy$)/i;
