/** Another process that changes a store, as the commands do; see change-in-another-process.ts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const changerScript = join(import.meta.dirname, 'change-in-another-process.ts');

export function changer(place: string, ...change: string[]) {
  const child = spawn(process.execPath, [changerScript, place, ...change], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  return {
    child,
    firstLine: () => once(child.stdout, 'data').then(() => printed.trim()),
    done: () => once(child, 'exit').then(([code]) => ({ code: code as number, printed })),
  };
}
