/** Tables for people: columns as wide as their widest cell, two spaces between them. */
import { isoTime } from '../core/iso-time.ts';

export function formatTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [heads, ...rows].map((cells) => cells.map(printable));
  const widths = heads.map((_, column) =>
    Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))),
  );
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => pad(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** One record: a line for each field. */
export function formatFields(fields: readonly (readonly [string, string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join('');
}

/** Names come from people and from traces: none may move the cursor or colour the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�');
}

/** UTC, to the minute: `2026-11-24 20:43`. */
export function formatTime(ms: number | undefined, absent: string): string {
  if (ms === undefined) return absent;
  return isoTime(ms).slice(0, -':00.000Z'.length).replace('T', ' ');
}

function widthOf(text: string): number {
  return [...text].length;
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(width - widthOf(text));
}
