/** Python programs in environments of their own, made once under `.cache`. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const cache = resolve(import.meta.dirname, '../../.cache');

/** Whether the machine has Python at all. */
export function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export type PythonOptions = {
  /** Of the folder under `.cache`. */
  readonly name: string;
  /** The path of a file for `pip install --requirement`. */
  readonly requirements: string;
};

/** The folder of the programs of a Python that has what is required, `python` among them. */
export function preparePython({ name, requirements }: PythonOptions): string {
  const folder = join(cache, name);
  const programs = join(folder, 'bin');
  // Written last, so that an interrupted install is not taken for a complete one.
  const donePath = join(folder, 'requirements.done');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(donePath) && readFileSync(donePath, 'utf8') === wanted) return programs;
  rmSync(folder, { recursive: true, force: true });
  // Its output is shown with the error, should it fail.
  run('python3', ['-m', 'venv', folder]);
  const install = ['-m', 'pip', 'install', '--quiet', '--requirement', requirements];
  run(join(programs, 'python'), install);
  writeFileSync(donePath, wanted);
  return programs;
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}
