/**
 * What others wrote, such as names of spans and hints, in a line that may be pasted into a shell.
 *
 * zsh runs comments at its prompt, so a name like `$(reboot)` would be more than a name there.
 */
import { printable } from './table.ts';

/** ASCII signs that a shell may take for its own; `. , : / _ -` mean nothing by themselves. */
const pairedSigns = /["'`()<>[\]{}]/g;
const otherSigns = /[!#-&*+;=?@\\^|~]/g;

export function harmless(text: string): string {
  return printable(text)
    .replace(pairedSigns, '')
    .replace(otherSigns, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
