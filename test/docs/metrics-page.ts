/** docs/metrics.md, made from what a gateway really exposes, so that the two cannot drift. */
import { loadConfig } from '../../src/config/config.ts';
import { dropReasons } from '../../src/core/delivery.ts';
import { createGateway } from '../../src/gateway.ts';
import {
  createObservability,
  type ItemOutcome,
  type Metrics,
} from '../../src/observability/observability.ts';

/** A label's values, in words. */
const labelWords: Readonly<Record<string, string>> = {
  protocol: '`grpc` · `http`',
  outcome: 'of requests: `ok`, `partial` or a kind of [errors.md](errors.md); of items: see below',
  reason: 'see below',
  status: 'the HTTP status; `0`: no answer',
  source:
    '`memory` · `redis` · `store`: PostgreSQL itself · `stale`: from memory while PostgreSQL is ' +
    'down (`stale_if_error`) · `refused`: too many new keys at once',
  le: 'seconds, of the histogram’s buckets',
};

const itemWords: Readonly<Record<ItemOutcome, string>> = {
  accepted: 'the sender was told that they are taken; each is delivered or dropped later',
  rejected:
    'refused at the door, and the sender was told; `reason` is a kind of [errors.md](errors.md)',
  delivered: 'the downstream answered 2xx and did not count them as rejected',
  dropped: 'accepted and given up; `reason` says why',
};

const reasonWords: Readonly<Record<(typeof dropReasons)[number], string>> = {
  refused_downstream: 'the downstream refused them for good',
  retries_exhausted: 'older than `retry_on_failure.max_elapsed_time`',
  shutdown_timeout: 'still in the memory queue when the gateway stopped',
  partial_success_downstream: 'the downstream took the rest of their request',
};

const head = `\
# Metrics

<!-- Made from a gateway's own metrics by test/docs/metrics-page.ts; a test holds the two equal. -->

Prometheus text at \`http://<telemetry.metrics.endpoint>/metrics\`, port 8888 by default. What
to watch and what an alarm means stands in [operating.md](operating.md). Label values come from
closed sets, so the number of series is bounded; no label ever names a key, an agent or a client.
A series appears with its first event, those of dropped items with the start, so that an alarm
sees the first loss.

`;

type Described = { readonly name: string; readonly type: string; readonly help: string };

export async function metricsPage(): Promise<string> {
  const text = await exposition();
  const described = [...text.matchAll(/^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)$/gm)].map(
    ([, name = '', help = '', type = '']): Described => ({ name, help, type }),
  );
  const rows = described.map((metric) => {
    const labels = labelsOf(text, metric);
    const listed = labels.length === 0 ? '–' : labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${metric.name}\` | ${metric.type} | ${listed} | ${metric.help} |`;
  });
  return [
    head,
    '| Name | Type | Labels | Meaning |\n|---|---|---|---|\n',
    rows.map((row) => `${row}\n`).join(''),
    '\n`mibo_gateway_queue_items` exists in mode `memory` only, those of keys with PostgreSQL, ',
    'that of Redis where it is used.\n',
    '\n## Labels\n\n| Label | Values |\n|---|---|\n',
    Object.entries(labelWords)
      .map(([label, values]) => `| \`${label}\` | ${values} |\n`)
      .join(''),
    `\n## ${itemsMetric}\n\nEvery span that is accepted is delivered or dropped later. `,
    '`reason` is `none` where there is nothing to say.\n\n',
    '| `outcome` | Means |\n|---|---|\n',
    Object.entries(itemWords)
      .map(([outcome, meaning]) => `| \`${outcome}\` | ${meaning} |\n`)
      .join(''),
    '\n| `reason` of `dropped` | Means |\n|---|---|\n',
    dropReasons.map((reason) => `| \`${reason}\` | ${reasonWords[reason]} |\n`).join(''),
  ].join('');
}

const itemsMetric = 'mibo_gateway_items_total';

/** Of a gateway that was built and not started, after one event of each kind. */
async function exposition(): Promise<string> {
  const observability = createObservability({ level: 'silent' });
  const sets = [
    'auth.store.kind=postgres',
    'auth.store.url=postgres://database/mibo',
    'auth.redis.url=redis://cache',
    'delivery.mode=memory',
  ];
  createGateway({ config: loadConfig({ files: [], sets, env: {} }), observability });
  countOneOfEach(observability.metrics);
  return observability.metrics.text();
}

function countOneOfEach(metrics: Metrics): void {
  metrics.request('http', 'ok');
  metrics.items('accepted', 1);
  metrics.attempt(200, 0.01);
  metrics.scopeConflicts(1);
}

function labelsOf(text: string, { name }: Described): string[] {
  const samples = text.matchAll(new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'gm'));
  const labels = [...samples].flatMap(([, pairs = '']) =>
    [...pairs.matchAll(/(\w+)="/g)].map(([, label = '']) => label),
  );
  const unknown = labels.find((label) => labelWords[label] === undefined);
  if (unknown !== undefined) throw new Error(`say in labelWords what the label ${unknown} holds`);
  return [...new Set(labels)];
}
