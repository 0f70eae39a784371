/** Many samples of a row as one line. */
import type { Sample } from './measure-row.ts';
import type { Row } from './rows.ts';

export type Measured = { readonly row: Row; readonly samples: readonly Sample[] };

export type Summary = Omit<Sample, 'faults' | 'rssMaxMib'> & {
  /** Of all rounds, not the median. */
  readonly rssMaxMib: number;
  /** Lowest and highest CPU per million spans of the rounds. */
  readonly cpuRange: readonly [number, number];
  readonly faults: readonly string[];
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return Number.isInteger(middle) ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle));
}

export function summarize({ samples }: Measured): Summary {
  const of = (read: (sample: Sample) => number) => median(samples.map(read));
  const cpu = samples.map((sample) => sample.cpuSecondsPerMillionSpans);
  return {
    cpuSecondsPerMillionSpans: median(cpu),
    cpuMicrosPerRequest: of((sample) => sample.cpuMicrosPerRequest),
    requestsPerSecond: of((sample) => sample.requestsPerSecond),
    spansPerSecond: of((sample) => sample.spansPerSecond),
    rssMaxMib: Math.max(...samples.map((sample) => sample.rssMaxMib)),
    p50Ms: of((sample) => sample.p50Ms),
    p99Ms: of((sample) => sample.p99Ms),
    serverBusy: of((sample) => sample.serverBusy),
    othersBusy: of((sample) => sample.othersBusy),
    deliveriesPerHundred: of((sample) => sample.deliveriesPerHundred),
    cpuRange: [Math.min(...cpu), Math.max(...cpu)],
    faults: [...new Set(samples.flatMap((sample) => sample.faults))],
  };
}
