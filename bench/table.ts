/** The results as a Markdown table that reads well in a terminal too. */
import { type Measured, summarize } from './statistics.ts';

const heads = [
  'row',
  'CPU-s / 1 M spans',
  '(min–max)',
  'µs CPU / request',
  'requests/s',
  'spans/s',
  'RSS max MiB',
  'p50 ms',
  'p99 ms',
  'server busy',
  'others on its core',
  'deliveries / 100 requests',
];

export function resultTable(results: readonly Measured[]): string {
  return markdownTable([heads, ...results.map(cells)]);
}

function cells(measured: Measured): string[] {
  const { name } = measured.row;
  const summary = summarize(measured);
  if (summary.faults.length > 0) return [`${name} FAILED`, ...heads.slice(1).map(() => '–')];
  const [low, high] = summary.cpuRange;
  return [
    name,
    summary.cpuSecondsPerMillionSpans.toFixed(2),
    `${low.toFixed(2)}–${high.toFixed(2)}`,
    summary.cpuMicrosPerRequest.toFixed(0),
    grouped(summary.requestsPerSecond),
    grouped(summary.spansPerSecond),
    summary.rssMaxMib.toFixed(0),
    summary.p50Ms.toFixed(1),
    summary.p99Ms.toFixed(1),
    percent(summary.serverBusy),
    percent(summary.othersBusy),
    summary.deliveriesPerHundred.toFixed(0),
  ];
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** The first column to the left, all others to the right. */
export function markdownTable(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(3, ...lines.map((line) => (line[column] ?? '').length)),
  );
  const pad = (text: string, column: number) => {
    const width = widths[column] ?? 0;
    return column === 0 ? text.padEnd(width) : text.padStart(width);
  };
  const rule = widths.map((width, column) => {
    return column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`;
  });
  const [head = [], ...body] = lines;
  const rendered = [head.map(pad), rule, ...body.map((line) => line.map(pad))];
  return rendered.map((line) => `| ${line.join(' | ')} |`).join('\n');
}
