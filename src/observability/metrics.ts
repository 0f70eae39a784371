/**
 * Prometheus counters and gauges. Names follow https://prometheus.io/docs/practices/naming/ ;
 * every label value is from a closed set.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type DropReason, dropReasons } from '../core/delivery.ts';
import type { ErrorKind } from '../core/errors.ts';

/**
 * Where items (spans) went. `accepted` is the door's word; each accepted item later counts once
 * more as `delivered` or `dropped`. `rejected` items were never accepted and their sender was told.
 */
export type ItemOutcome = 'accepted' | 'rejected' | 'delivered' | 'dropped';

export type Metrics = {
  /** One request answered: `ok`, `partial`, or why it was refused. */
  request(protocol: 'grpc' | 'http', outcome: 'ok' | 'partial' | ErrorKind): void;
  items(outcome: ItemOutcome, count: number, reason?: DropReason | ErrorKind): void;
  /** One attempt to send to the downstream: its status, or 0 for no answer. */
  attempt(status: number, seconds: number): void;
  /** Resources whose named target the key's scope overruled (on_scope_conflict: use_scope). */
  scopeConflicts(count: number): void;
  /** A value that is read when the metrics are scraped. */
  gauge(name: string, help: string, read: () => number): void;
  /** Counts that somebody else keeps, by one label, read when the metrics are scraped. */
  counts(name: string, help: string, source: CountsSource): void;
  totals(): Promise<Totals>;
  /** The Prometheus text format, version 0.0.4. */
  text(): Promise<string>;
  readonly contentType: string;
};

export type CountsSource = {
  readonly label: string;
  /** Label value → count. */
  readonly read: () => Readonly<Record<string, number>>;
};

/** Since the start. */
export type Totals = {
  readonly requests: { readonly ok: number; readonly partial: number; readonly refused: number };
  readonly spans: Readonly<Record<ItemOutcome, number>>;
};

const durationBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'mibo_gateway_requests_total',
    help: 'Export requests answered, by protocol and outcome (ok, partial, or the error kind).',
    labelNames: ['protocol', 'outcome'],
    registers,
  });
  const items = new Counter({
    name: 'mibo_gateway_items_total',
    help: 'Spans by outcome: accepted and rejected at the door, then delivered or dropped.',
    labelNames: ['outcome', 'reason'],
    registers,
  });
  // There from the start, so that the first loss is a rise from 0, which an alarm can see.
  for (const reason of dropReasons) items.inc({ outcome: 'dropped', reason }, 0);
  const attempts = new Histogram({
    name: 'mibo_gateway_downstream_request_duration_seconds',
    help: 'Duration of one attempt to send to the downstream, by status (0: no answer).',
    labelNames: ['status'],
    buckets: durationBuckets,
    registers,
  });
  const conflicts = new Counter({
    name: 'mibo_gateway_scope_conflicts_total',
    help: 'Resources that named another agent than the one their key is scoped to.',
    registers,
  });
  return {
    request: (protocol, outcome) => requests.inc({ protocol, outcome }),
    items(outcome, count, reason) {
      if (count > 0) items.inc({ outcome, reason: reason ?? 'none' }, count);
    },
    attempt: (status, seconds) => attempts.observe({ status }, seconds),
    scopeConflicts: (count) => conflicts.inc(count),
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    counts(name, help, { label, read }) {
      new Counter({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [value, count] of Object.entries(read())) this.inc({ [label]: value }, count);
        },
      });
    },
    async totals() {
      const byOutcome = await sums(requests);
      const { ok = 0, partial = 0, ...refused } = byOutcome;
      const { accepted = 0, rejected = 0, delivered = 0, dropped = 0 } = await sums(items);
      return {
        requests: { ok, partial, refused: Object.values(refused).reduce((a, b) => a + b, 0) },
        spans: { accepted, rejected, delivered, dropped },
      };
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** Of a counter, by its label `outcome`. */
async function sums(counter: Counter<'outcome'>): Promise<Record<string, number>> {
  const totals: Record<string, number> = {};
  for (const { labels, value } of (await counter.get()).values) {
    const outcome = String(labels.outcome);
    totals[outcome] = (totals[outcome] ?? 0) + value;
  }
  return totals;
}
