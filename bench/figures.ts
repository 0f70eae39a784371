/** Figures in a page that people write: the program replaces what stands between two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

/** Replaces the text between `<!-- figures: name -->` and `<!-- end of figures -->` in `file`. */
export function writeFigures(file: string, name: string, text: string): void {
  const page = readFileSync(file, 'utf8');
  const mark = `<!-- figures: ${name} -->`;
  const start = page.indexOf(mark);
  const end = page.indexOf('<!-- end of figures -->', start);
  if (start < 0 || end < 0) throw new TypeError(`${file} has no place for the figures "${name}"`);
  const before = page.slice(0, start + mark.length);
  writeFileSync(file, `${before}\n\n${text.trim()}\n\n${page.slice(end)}`);
}

/** Where, when and how: stands above each set of figures. */
export function originText(command: string): string {
  const date = new Date().toISOString().slice(0, 10);
  const cores = cpus();
  const memoryGib = (totalmem() / 1024 ** 3).toFixed(0);
  return (
    `Measured on ${date} with \`${command}\`: ${cores.length} cores, ` +
    `${cores[0]?.model ?? 'unknown'}, ${memoryGib} GiB, Node ${process.versions.node}.`
  );
}
