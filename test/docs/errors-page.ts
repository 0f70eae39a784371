/** docs/errors.md, made from the error table so that the two cannot drift. */
import { type ErrorKind, type ErrorRow, errorTable, grpcStatus } from '../../src/core/errors.ts';

type Words = {
  /** What has happened. */
  readonly meaning: string;
  /** What its reader does about it. */
  readonly fix: string;
};

const words: Readonly<Record<ErrorKind, Words>> = {
  missing_api_key: {
    meaning: 'No API key arrived, or an empty one.',
    fix: 'Set `OTEL_EXPORTER_OTLP_HEADERS=x-api-key=<key>`: no quotes, `=` and not `:`.',
  },
  invalid_api_key: {
    meaning: 'The key is unknown, revoked, expired or misspelt; or two different keys arrived.',
    fix: 'Do what the text says. If it says nothing special, make a new key.',
  },
  platform_not_allowed: {
    meaning: 'The agent that the request names is not one that the key may use.',
    fix: 'Name one of the agents in the text, or widen the scope of the key.',
  },
  platform_not_found: {
    meaning: 'The request names no agent, and its key is not scoped to a single one.',
    fix: 'Use a key of one agent, or set `OTEL_RESOURCE_ATTRIBUTES=mibo.platform_id=<uuid>`.',
  },
  malformed: {
    meaning: 'The body or a part of it cannot be read, or an agent’s id is no UUID.',
    fix: 'The text says which part, and what to write there.',
  },
  unsupported_media_type: {
    meaning: 'The Content-Type is neither protobuf nor JSON.',
    fix: 'Send `application/x-protobuf` or `application/json`.',
  },
  unsupported_encoding: {
    meaning: 'The body is compressed in a way that is not known here.',
    fix: 'Use gzip, deflate, zstd or none; the answer lists them.',
  },
  payload_too_large: {
    meaning: 'The body is over its limit, on the wire or inflated.',
    fix: 'Send smaller batches, or raise `max_recv_msg_size_mib` or `max_request_body_size_mib`.',
  },
  rate_limited: {
    meaning:
      'The key is over one of `limits.per_key`, or the key is not known and too many others from ' +
      'the same address were not either.',
    fix: 'Exporters send again. The text names the limit, or asks for another key.',
  },
  overloaded: {
    meaning:
      'Memory for requests is full: more arrives at once than `limits.in_flight_mib` holds; or ' +
      'too many keys at once that this gateway has not seen yet.',
    fix: 'Exporters send again. If it lasts: a larger budget, or more gateways.',
  },
  queue_full: {
    meaning: 'Mode memory: the queue is full, since the ingestion service is slower than arrivals.',
    fix: 'Exporters send again. If it lasts, look at the ingestion service.',
  },
  refused_downstream: {
    meaning:
      'Mode sync: the ingestion service refused the spans for good; its words are in the text.',
    fix: 'Correct what it complains about.',
  },
  downstream_unavailable: {
    meaning: 'Mode sync and Your API: the ingestion service did not answer, or asked to wait.',
    fix: 'Exporters send again. If it lasts, look at the ingestion service.',
  },
  shutting_down: {
    meaning: 'This gateway is stopping.',
    fix: 'Exporters send again, to the next one.',
  },
  store_unavailable: {
    meaning: 'The key store does not answer, so nobody can say whether the key is good.',
    fix: 'Exporters send again. Look at the store: the file and its disk, or PostgreSQL.',
  },
  internal: {
    meaning: 'A fault of the gateway itself; its log has the cause.',
    fix: 'Exporters send again. Report it, with the log line.',
  },
  deadline_exceeded: {
    meaning: 'The request was not done within `limits.request_deadline`.',
    fix: 'Send smaller batches, or look for what is slow: the network or the ingestion service.',
  },
  not_found: {
    meaning: 'Nothing is served at this path, or metrics or logs were sent.',
    fix: 'Send traces to `/v1/traces`; set `OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none`.',
  },
  method_not_allowed: { meaning: 'The path takes POST only.', fix: 'Use POST.' },
  quota: { meaning: 'A hard quota is used up.', fix: 'Ask for more.' },
};

/** Kinds that this version never answers; their rows are kept for those to come. */
export const unusedKinds: readonly ErrorKind[] = ['quota'];

const head = `\
# Errors

<!-- Made from src/core/errors.ts by test/docs/errors-page.ts; a test holds the two equal. -->

Every refusal is one row of one table, the same over gRPC, HTTP and Your API. Its text starts with
the fix and ends with a stable code in brackets, here \`[PLATFORM_NOT_FOUND]\`:

\`\`\`
use a key scoped to one agent, or set OTEL_RESOURCE_ATTRIBUTES=mibo.platform_id=<agent uuid>.
This key ("Demo: all agents") may use: … [PLATFORM_NOT_FOUND]
\`\`\`

Where the text stands:

- **OTLP/gRPC**: in \`grpc-message\`, beside \`grpc-status\`. What passes by itself comes with
  \`RetryInfo\`, in the status details and as a trailer of its own.
- **OTLP/HTTP**: in a \`google.rpc.Status\` as the body, in protobuf or JSON as the request was. The
  first 120 characters are the reason phrase too.
- **Your API**: in \`error.message\` of
  \`{"success":false,"error":{"code","message","details"},"timestamp"}\`, always JSON; the code
  has a field of its own there.

What passes by itself (429, 503) says after how long to send again, and most OTLP exporters do so.
A 504 is sent again by most, too. Everything else would be refused again. Each answer to a request
carries \`x-mibo-gateway-request-id\`, as does what is forwarded; the kind in the first column is
the \`outcome\` of \`mibo_gateway_requests_total\` and the \`kind\` in the log.

A request of which only some resources are refused is no error: it is a 200 with
\`partial_success\`, whose text is the one of the first refusal.

`;

export function errorsPage(): string {
  const kinds = Object.keys(errorTable) as ErrorKind[];
  const used = kinds.filter((kind) => !unusedKinds.includes(kind));
  const unused = unusedKinds.map((kind) => `\`${kind}\` (${codes(errorTable[kind])})`).join(', ');
  return (
    `${head}${tableHead}\n${used.map(rowOf).join('\n')}\n\n` +
    `Kept for later, and never answered by this version: ${unused}.\n`
  );
}

const tableHead =
  '| Kind | Code | HTTP | gRPC | Again after | Means | Do |\n|---|---|---|---|---|---|---|';

function rowOf(kind: ErrorKind): string {
  const row: ErrorRow = errorTable[kind];
  const { meaning, fix } = words[kind];
  const again = row.retryAfterMs === undefined ? '–' : `${row.retryAfterMs / 1000} s`;
  const cells = [`\`${kind}\``, `\`${row.code}\``, row.http, grpcName(row), again, meaning, fix];
  return `| ${cells.join(' | ')} |`;
}

function codes(row: ErrorRow): string {
  return `${row.http}, ${grpcName(row)}`;
}

/** `permissionDenied` → `PERMISSION_DENIED`. */
function grpcName({ grpc }: ErrorRow): string {
  const name = Object.entries(grpcStatus).find(([, code]) => code === grpc)?.[0] ?? String(grpc);
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
