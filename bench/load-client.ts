/** What both load clients share: which body is next, and what became of the requests. */
import type { Payload } from './payloads.ts';

/** What the requests look like, on each connection. */
export type RequestForm = {
  readonly port: number;
  /** Empty for a bare sink. */
  readonly apiKey: string;
  readonly contentType: string;
  readonly compression: 'identity' | 'gzip';
  readonly payloads: readonly Payload[];
};

export type Target = RequestForm & {
  readonly connections: number;
  /** Streams on each connection; 1 for HTTP/1.1. */
  readonly streams: number;
};

export type PhaseResult = {
  /** Answered requests by status: `200`, `grpc 0`, or what went wrong. */
  readonly statuses: Record<string, number>;
  /** Spans of the requests that were answered with success. */
  readonly acceptedSpans: number;
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

export type LoadClient = {
  /** Keeps every connection busy for so long; resolves once each request is answered. */
  run(durationMs: number): Promise<PhaseResult>;
  close(): void;
};

/** What a connection asks for its next request, and tells of each answer. */
export type Feeder = {
  /** The index of the next body to send; undefined for none now. */
  next(nowMs: number): number | undefined;
  /** `success` is the one status of this protocol that means every span was taken. */
  answered(status: string, success: boolean, request: SentRequest): void;
};

export type SentRequest = { readonly index: number; readonly sentAtMs: number };

/** The gateway answers within 9 s; what takes longer than this is lost. */
const answerWaitMs = 15_000;

/** One phase: hands out bodies, counts answers, and ends when the last one is in. */
export class Phase implements Feeder {
  private readonly latenciesMs: number[] = [];
  private readonly statuses = new Map<string, number>();
  private readonly beganAtMs = performance.now();
  private readonly endsAtMs: number;
  private acceptedSpans = 0;
  private underWay = 0;
  private readonly payloads: readonly Payload[];
  private readonly settle: (result: PhaseResult) => void;
  private readonly giveUp: NodeJS.Timeout;

  constructor(
    options: { readonly payloads: readonly Payload[]; readonly durationMs: number },
    settle: (result: PhaseResult) => void,
  ) {
    this.payloads = options.payloads;
    this.endsAtMs = this.beganAtMs + options.durationMs;
    this.settle = settle;
    setTimeout(() => this.end('idle'), options.durationMs + 1);
    this.giveUp = setTimeout(() => this.end('unanswered'), options.durationMs + answerWaitMs);
  }

  /** Undefined when the time is over. */
  next(nowMs: number): number | undefined {
    if (nowMs >= this.endsAtMs) return undefined;
    const index = (this.latenciesMs.length + this.underWay) % this.payloads.length;
    this.underWay += 1;
    return index;
  }

  answered(status: string, success: boolean, request: SentRequest): void {
    const nowMs = performance.now();
    this.latenciesMs.push(nowMs - request.sentAtMs);
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (success) this.acceptedSpans += this.payloads[request.index]?.spans ?? 0;
    this.underWay -= 1;
    if (nowMs >= this.endsAtMs) this.end('idle');
  }

  /** `idle`: only if nothing is under way. `unanswered`: what still is has waited long enough. */
  private end(why: 'idle' | 'unanswered'): void {
    if (why === 'idle' && this.underWay > 0) return;
    if (this.underWay > 0) this.statuses.set(why, this.underWay);
    clearTimeout(this.giveUp);
    // A promise takes the first result only; a late second one is nothing.
    this.settle(this.result(performance.now()));
  }

  private result(nowMs: number): PhaseResult {
    const sorted = Float64Array.from(this.latenciesMs).sort();
    const quantile = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
    return {
      statuses: Object.fromEntries(this.statuses),
      acceptedSpans: this.acceptedSpans,
      requests: sorted.length,
      seconds: (nowMs - this.beganAtMs) / 1000,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
    };
  }
}
