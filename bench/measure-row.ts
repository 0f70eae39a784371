/** One measurement of one row: a fresh server, a warm-up, the measured phase, and the proof. */
import { type Child, pinned, serverCore, startChild } from './child.ts';
import { type RunningGateway, type Site, startGateway } from './gateway-under-test.ts';
import type { LoadCalls } from './load.ts';
import type { PhaseResult } from './load-client.ts';
import { coreBusySeconds, startMeter } from './process-meter.ts';
import type { Row } from './rows.ts';
import type { SinkCalls, SinkCounts } from './sink.ts';

export type Sample = {
  readonly cpuSecondsPerMillionSpans: number;
  readonly cpuMicrosPerRequest: number;
  readonly requestsPerSecond: number;
  readonly spansPerSecond: number;
  readonly rssMaxMib: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How busy the server kept its core; well below 1 the load was the limit. */
  readonly serverBusy: number;
  /** The share of the server's core that other processes took meanwhile; 0 where not pinned. */
  readonly othersBusy: number;
  /** Deliveries that the sink got for 100 requests: below 100 they were joined. */
  readonly deliveriesPerHundred: number;
  /** Why the sample does not count; empty if every span arrived exactly once. */
  readonly faults: readonly string[];
};

export type Bench = {
  readonly site: Site;
  readonly load: Child<LoadCalls>;
  readonly sink: Child<SinkCalls>;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly nodeOptions: readonly string[];
};

/** What a row is measured at: the gateway, or the bare sink. */
type Subject = {
  readonly pid: number;
  readonly port: number;
  readonly sink: Child<SinkCalls>;
  complaints(): readonly string[];
  stop(): Promise<void>;
};

const warmupPhases = 4;
/** A server that has so little to do is not waited for any longer. */
const warmupPhasesMax = 4 * warmupPhases;
const drainWaitMs = 20_000;
const pollMs = 10;

export async function measureRow(bench: Bench, row: Row): Promise<Sample> {
  const subject = await startSubject(bench, row);
  try {
    return await measureSubject(bench, row, subject);
  } finally {
    await bench.load.call('close');
    await subject.stop();
  }
}

async function startSubject(bench: Bench, row: Row): Promise<Subject> {
  if (row.mode === 'none') {
    const sink = startChild<SinkCalls>('sink.ts', 'server');
    const port = await sink.call('open');
    const stop = async () => sink.stop();
    return { pid: sink.pid, port, sink, stop, complaints: () => [] };
  }
  const { site, nodeOptions, sink } = bench;
  const gateway: RunningGateway = await startGateway({ site, mode: row.mode, nodeOptions });
  const { pid, complaints, stop } = gateway;
  return { pid, port: portOf(gateway, row), sink, complaints, stop };
}

function portOf(gateway: RunningGateway, row: Row): number {
  return row.transport === 'grpc' ? gateway.grpcPort : gateway.httpPort;
}

async function measureSubject(bench: Bench, row: Row, subject: Subject): Promise<Sample> {
  const { load, site } = bench;
  await subject.sink.call('expect', { ...row, anyAgent: row.mode === 'none' });
  const apiKey = row.named ? site.unrestrictedKey : site.singleAgentKey;
  await load.call('open', {
    row,
    port: subject.port,
    apiKey: row.mode === 'none' ? '' : apiKey,
  });
  const warmup = await warmUp(bench, subject);
  const warmupSpans = warmup.reduce((sum, { acceptedSpans }) => sum + acceptedSpans, 0);
  const before = await drained(subject, warmupSpans);
  const meter = startMeter(subject.pid);
  const beganAtMs = performance.now();
  const coreBefore = coreBusySeconds(serverCore);
  const phase = await load.call('run', bench.measureMs);
  const allAccepted = warmupSpans + phase.acceptedSpans;
  const after = await drained(subject, allAccepted);
  const elapsedSeconds = (performance.now() - beganAtMs) / 1000;
  const coreSeconds = coreBusySeconds(serverCore) - coreBefore;
  const cost = meter.read();
  meter.stop();
  const spans = after.spans - before.spans;
  return {
    cpuSecondsPerMillionSpans: (cost.cpuSeconds / spans) * 1e6,
    cpuMicrosPerRequest: (cost.cpuSeconds / phase.requests) * 1e6,
    requestsPerSecond: phase.requests / elapsedSeconds,
    spansPerSecond: spans / elapsedSeconds,
    rssMaxMib: cost.rssMaxMib,
    p50Ms: phase.p50Ms,
    p99Ms: phase.p99Ms,
    serverBusy: cost.cpuSeconds / elapsedSeconds,
    othersBusy: pinned ? Math.max(0, coreSeconds - cost.cpuSeconds) / elapsedSeconds : 0,
    deliveriesPerHundred: ((after.requests - before.requests) / phase.requests) * 100,
    faults: [
      ...faultsOf([...warmup, phase], after, allAccepted),
      ...meterFaults(cost.cpuSeconds, cost.cpuSecondsCoarse),
      ...subject.complaints().slice(0, 3),
    ],
  };
}

/**
 * Until the server has worked for `warmupMs`, not until the time has passed: on a busy machine it
 * would be measured before its code is compiled.
 */
async function warmUp(bench: Bench, subject: Subject): Promise<PhaseResult[]> {
  const meter = startMeter(subject.pid);
  const phases: PhaseResult[] = [];
  while (phases.length < warmupPhasesMax) {
    phases.push(await bench.load.call('run', bench.warmupMs / warmupPhases));
    if (meter.read().cpuSeconds * 1000 >= bench.warmupMs) break;
  }
  meter.stop();
  return phases;
}

/** Waits until everything that was accepted has arrived; what comes late would falsify the cost. */
async function drained(subject: Subject, acceptedSpans: number): Promise<SinkCounts> {
  const deadlineMs = performance.now() + drainWaitMs;
  for (;;) {
    const counts = await subject.sink.call('counts');
    if (counts.spans >= acceptedSpans || performance.now() > deadlineMs) return counts;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function faultsOf(
  phases: readonly PhaseResult[],
  counts: SinkCounts,
  acceptedSpans: number,
): string[] {
  const faults: string[] = [];
  for (const { statuses } of phases) {
    const refused = Object.entries(statuses).filter(
      ([name]) => name !== '200' && name !== 'grpc 0',
    );
    if (refused.length === 0) continue;
    faults.push(`not accepted: ${refused.map(([name, count]) => `${count}× ${name}`).join(', ')}`);
  }
  if (counts.spans !== acceptedSpans) {
    faults.push(`accepted ${acceptedSpans} spans, ${counts.spans} arrived`);
  }
  if (counts.misrouted > 0) faults.push(`${counts.misrouted} spans went to a wrong agent`);
  if (counts.unreadable > 0) faults.push(`${counts.unreadable} deliveries could not be read`);
  return faults;
}

/** Both are the kernel's own; where they differ, a thread ended between two readings. */
function meterFaults(fine: number, coarse: number): string[] {
  if (Math.abs(fine - coarse) <= 0.05 + fine * 0.03) return [];
  return [`the meter saw ${fine.toFixed(2)} CPU-s, the process had ${coarse.toFixed(2)}`];
}
