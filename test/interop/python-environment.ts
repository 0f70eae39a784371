/** The official Python SDK in an environment of its own, made once under `.cache`. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const requirements = resolve(import.meta.dirname, 'requirements.txt');
const folder = resolve(import.meta.dirname, '../../.cache/interop-python');
/** Written last, so that an interrupted install is not taken for a complete one. */
const donePath = join(folder, 'requirements.done');

/** Whether the machine has Python at all. */
export function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The path of a Python that has the SDK. */
export function preparePython(): string {
  const python = join(folder, 'bin', 'python');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(donePath) && readFileSync(donePath, 'utf8') === wanted) return python;
  rmSync(folder, { recursive: true, force: true });
  // Its output is shown with the error, should it fail.
  run('python3', ['-m', 'venv', folder]);
  run(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
  writeFileSync(donePath, wanted);
  return python;
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}
