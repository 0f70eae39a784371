/** `docs/performance.md`: what was measured, when, where and how, and what it means. */
import { cpus, totalmem } from 'node:os';
import type { AuthResult } from './auth.ts';
import { pinningText } from './child.ts';
import { type Measured, median, summarize } from './statistics.ts';
import { markdownTable, percent, resultTable } from './table.ts';
import type { WalkerResult } from './walker.ts';

export type Report = {
  readonly date: string;
  readonly command: string;
  readonly rounds: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly results: readonly Measured[];
  readonly walker: WalkerResult | undefined;
  readonly auth: AuthResult | undefined;
};

/** The most a row may cost: CPU seconds per million spans, all threads. */
const targets: Readonly<Record<string, number>> = {
  'memory grpc plain 512': 0.7,
  'memory http plain 512': 0.7,
  'memory grpc gzip 512': 1,
  'memory http gzip 512': 1,
  'memory grpc plain 1': 30,
  'memory http plain 1': 30,
};

export function renderReport(report: Report): string {
  return `# Performance

Measured on ${report.date} with \`${report.command}\`. The run writes this page: change \`bench/\`,
not this text.

## Machine

- ${machineText()}
- Node ${process.versions.node}
- Pinning: ${pinningText}.
- ${quietText(report.results)}

## Results

${resultTable(report.results)}

${failureText(report.results)}
${walkerText(report.walker)}${authText(report.auth)}
## Targets

${targetTable(report.results)}

${methodText(report)}
${readingText}`;
}

function machineText(): string {
  const cores = cpus();
  const memoryGib = (totalmem() / 1024 ** 3).toFixed(1);
  return `${cores.length} cores, ${cores[0]?.model ?? 'unknown'}, ${memoryGib} GiB of memory`;
}

/** Above this other work on the machine shows in the numbers. */
const quietShareMax = 0.05;

export function quietText(results: readonly Measured[]): string {
  const share = median(results.map((measured) => summarize(measured).othersBusy));
  const text = `Other processes used ${percent(share)} of the server's core (median of the rows)`;
  if (share <= quietShareMax) return `${text}: the machine was quiet.`;
  return (
    `**${text}: the machine was busy.** Caches and clock speed were shared, so the CPU columns ` +
    'are too high, and rates and latencies say nothing. Run it again on a quiet machine.'
  );
}

const faultsShownMax = 3;

export function failureText(results: readonly Measured[]): string {
  const lines = results.flatMap((measured) => {
    const { faults } = summarize(measured);
    if (faults.length === 0) return [];
    const rest =
      faults.length > faultsShownMax ? `; and ${faults.length - faultsShownMax} more` : '';
    return [`- **${measured.row.name}**: ${faults.slice(0, faultsShownMax).join('; ')}${rest}`];
  });
  if (lines.length > 0) return `Rows that failed, and why:\n\n${lines.join('\n')}\n`;
  return 'Every span that was accepted arrived exactly once, in every round of every row.\n';
}

export function walkerText(walker: WalkerResult | undefined): string {
  if (walker === undefined) return '';
  const { spans, bytes, walkMicros, decodeMicros } = walker;
  const rows = [
    [`${spans} spans, ${(bytes / 1000).toFixed(0)} KB`, 'µs', 'ns/span', 'ratio'],
    ['walkExport', walkMicros.toFixed(0), ((walkMicros / spans) * 1000).toFixed(0), '1.0'],
    [
      'protobufjs decode',
      decodeMicros.toFixed(0),
      ((decodeMicros / spans) * 1000).toFixed(0),
      (decodeMicros / walkMicros).toFixed(1),
    ],
  ];
  return `## The walk against decoding, in one process\n\n${markdownTable(rows)}\n\n`;
}

/** The most that both checks of a known key may cost a request. */
const authMicrosMax = 3;

export function authText(auth: AuthResult | undefined): string {
  if (auth === undefined) return '';
  const { hashMicros, authMicros, limitedMicros } = auth;
  const row = (name: string, micros: number) => [
    name,
    micros.toFixed(2),
    (micros / hashMicros).toFixed(1),
  ];
  const rows = [
    ['a known key, per request', 'µs CPU', 'ratio'],
    row('SHA-256 of the key alone', hashMicros),
    row('checked, and again after the body', authMicros),
    row('the same, with three limits', limitedMicros),
  ];
  const verdict = authMicros <= authMicrosMax ? 'met' : 'missed';
  const target = `Target: both checks within ${authMicrosMax} µs (${verdict}).`;
  return `## The check of a known key, in one process\n\n${markdownTable(rows)}\n\n${target}\n\n`;
}

function targetTable(results: readonly Measured[]): string {
  const rows = results.flatMap((measured) => {
    const target = targets[measured.row.name];
    if (target === undefined) return [];
    const { cpuSecondsPerMillionSpans: cost, faults } = summarize(measured);
    const verdict = cost <= target ? 'met' : `missed, ${(cost / target).toFixed(1)}×`;
    return [
      [measured.row.name, `≤ ${target}`, cost.toFixed(2), faults.length > 0 ? 'FAILED' : verdict],
    ];
  });
  return markdownTable([['row', 'target, CPU-s / 1 M spans', 'measured', ''], ...rows]);
}

function methodText({ rounds, warmupMs, measureMs }: Report): string {
  return `## How it is measured

- The gateway is the real process, \`bin/mibo-gateway.js start\`, with keys made by its own
  commands in SQLite; each measurement of a row starts a fresh one. ${rounds} interleaved
  round(s): all rows once, then all rows again. Per row a warm-up of ${warmupMs} ms of the
  server's CPU time, then ${measureMs} ms measured; the table has medians, the range is that of
  the rounds, RSS is the highest of all rounds.
- CPU is that of the whole process, all threads, garbage collection and compiler included: the sum
  over \`/proc/PID/task/*/schedstat\`, from before the first measured request until the last span
  has arrived at the sink. It is checked against \`/proc/PID/stat\`; a row in which they differ
  fails.
- The load writes requests made beforehand to plain sockets: over HTTP/1.1 one request under way
  per connection, over HTTP/2 framed by hand, several streams on each of 8 connections; 16
  requests under way for 512 spans, 32 for 1 span, the next one on each answer. It is a closed
  loop at full load, so the latencies are those of a saturated gateway: queueing, not added
  latency.
- The sink compares each delivery byte for byte with the bodies that were sent, whose spans are
  known; what it does not know (stamped or transcoded bodies) it inflates and counts by a walk of
  its own. A row fails, and the command exits with 1, unless every request was accepted, exactly
  the accepted spans arrived, none twice, and each carried the header of its agent.
- Bodies: spans of an agent with model, tool and retrieval spans, GenAI attributes, prompts and
  answers; 512 spans are 255 KB (54 KB gzip), 1 span is 0.8 KB (0.6 KB gzip); 8 and 64 different
  bodies for 4 agents.
- \`sink-alone\` is the load against a bare \`node:http\` server that only counts: what reading
  the requests costs any server on this Node. \`stamped\` has a key for one agent and no
  attribute, so that the gateway writes the agent into each body. \`server busy\` is the share of
  its core that the server used; well below 100 % the load or the sink was the limit, which leaves
  the CPU columns valid. What others did on the same core stands beside it.
`;
}

const readingText = `## Reading

- Compare rows of one run with one another. Absolute numbers belong to this machine and date; on a
  shared virtual machine ±20 % is noise.
- Where deliveries are fewer than requests, memory mode joined what was waiting for the same
  agent. That is its intended work under load, and why 1-span requests cost less there than in
  sync mode, where each request waits for a delivery of its own.
- The load, the sink and the gateway talk over the loopback of one machine: no network card, no
  TLS, no round trips. CPU per span carries over to a network, latency does not.
`;
