/**
 * The process: runs the command and ends with its exit code. The only exit.
 *
 * 0 done, 1 refused, 2 wrong usage; 1 too for a fault that nobody caught, which is logged.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

// Bodies live outside of V8's heap, and each byte of them makes it collect the heap as if it were
// full of objects: two fifths of the CPU under load. Counted in the global limit they do not.
setFlagsFromString('--external-memory-accounted-in-global-limit');

// Most of a short command's time is spent compiling, so that is kept: beside the source, where
// nobody else may write, or not at all where this process may not write either.
enableCompileCache(join(import.meta.dirname, '..', '.cache', 'compile'));
const { logCrash, runCli, stopSignal } = await import('./cli/cli.ts');

// A reader that goes away, such as `head`, is no fault of the command.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

function crash(fault: unknown): void {
  logCrash(fault);
  process.exit(1);
}
process.on('uncaughtException', crash);
process.on('unhandledRejection', crash);

process.exit(
  await runCli(process.argv.slice(2), {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    // In a clone it is reached through npm, in the image by its name.
    program: process.env.npm_command === undefined ? 'mibo-gateway' : 'npx mibo-gateway',
    env: process.env,
    stopRequested: () => stopSignal({ process, stopNow: () => process.exit(1) }),
  }),
);
