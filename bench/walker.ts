/**
 * The walk of an export request against decoding it, in one process: what it saves that no span is
 * ever decoded. Interleaved, so that a slow moment of the machine hits both.
 */
import { walkExport } from '../src/otlp/otlp.ts';
import { serveCalls } from './child.ts';
import { loadExportType, makePayloads } from './payloads.ts';
import { median } from './statistics.ts';

export type WalkerResult = {
  readonly spans: number;
  readonly bytes: number;
  /** Medians per request. */
  readonly walkMicros: number;
  readonly decodeMicros: number;
};

export type WalkerCalls = { measure(options: { rounds: number }): WalkerResult };

const callsPerRound = 64;
const warmupRounds = 5;

serveCalls<WalkerCalls>({
  measure({ rounds }) {
    const type = loadExportType();
    const payloads = makePayloads({
      spans: 512,
      encoding: 'proto',
      compression: 'identity',
      named: true,
    });
    const messages = payloads.map(({ message }) => message);
    const walkMicros: number[] = [];
    const decodeMicros: number[] = [];
    for (let round = -warmupRounds; round < rounds; round += 1) {
      const walk = timed(messages, (message) => walkExport(message, 'mibo.platform_id').items);
      const decode = timed(
        messages,
        (message) => (type.decode(message) as unknown as Decoded).resourceSpans.length,
      );
      if (round < 0) continue;
      walkMicros.push(walk);
      decodeMicros.push(decode);
    }
    return {
      spans: 512,
      bytes: median(messages.map(({ length }) => length)),
      walkMicros: median(walkMicros),
      decodeMicros: median(decodeMicros),
    };
  },
});

type Decoded = { readonly resourceSpans: readonly unknown[] };

/** Microseconds per call. What each call returns is used, so that none can be left out. */
function timed(messages: readonly Buffer[], run: (message: Buffer) => number): number {
  let sum = 0;
  const beganAtMs = performance.now();
  for (let call = 0; call < callsPerRound; call += 1) {
    sum += run(messages[call % messages.length] as Buffer);
  }
  const elapsedMs = performance.now() - beganAtMs;
  if (sum < callsPerRound) throw new Error('a call found nothing in its message');
  return (elapsedMs * 1000) / callsPerRound;
}
