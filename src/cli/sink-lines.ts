/** What the sink shows and keeps of a delivery. */
import { formatDuration } from './duration.ts';
import type { SinkDelivery, SinkTrace } from './sink.ts';
import { printable } from './table.ts';

const nameCharsMax = 60;

export type LineOptions = {
  /** Agent id → name, where it is known. */
  readonly agentName: (agentId: string) => string | undefined;
  readonly at: Date;
  /** What is shown of a name that somebody else chose; it must not move the cursor. */
  readonly readable?: (text: string) => string;
};

/** One line for each trace: `12:03:44  Support bot  my-app  3 spans  "answer"  1.24 s`. */
export function traceLines(delivery: SinkDelivery, options: LineOptions): string[] {
  const time = options.at.toTimeString().slice(0, 8);
  return delivery.traces.map((trace) => `${time}  ${describe(trace, options)}`);
}

function describe(trace: SinkTrace, { agentName, readable = printable }: LineOptions): string {
  const { agentId, service, spans, rootName, durationMs } = trace;
  const name = (text: string) => readable(text).slice(0, nameCharsMax);
  const agent = agentName(agentId) ?? (agentId === '' ? 'no agent' : agentId);
  const root = name(rootName);
  return [
    name(agent) || '-',
    name(service) || '-',
    `${spans} span${spans === 1 ? '' : 's'}`,
    root === '' ? '-' : `"${root}"`,
    durationMs === undefined ? '-' : formatDuration(durationMs),
  ].join('  ');
}

/** One JSON line for each delivery. */
export function deliveryRecord(delivery: SinkDelivery, at: Date): string {
  const { path, headers, spans, body } = delivery;
  return JSON.stringify({ time: at.toISOString(), path, headers, spans, body });
}
