/** Settings of who may send, which agent it belongs to, and how much is taken at once. */
import { fromEnv } from './environment.ts';
import { choice, duration, whole } from './kinds.ts';
import { section } from './setting.ts';
import { filePath, headerName, maskWhole, networkList, serverUrl, text } from './text-kinds.ts';

/** Headers that mean something else on the same request. */
const reserved = [
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'transfer-encoding',
  'x-request-id',
];

const passthrough = section('For mode passthrough: what goes out with every delivery.', {
  api_key: text(
    {
      about: 'The key to use; empty passes on the key of each client.',
      preset: fromEnv('MIBO_API_KEY'),
    },
    { pattern: /^[!#-&(-~]*$/, expected: 'a key without spaces and quotes', mask: maskWhole },
  ),
  platform_id: text(
    {
      about: 'The agent to send to; empty leaves it to the next hop.',
      preset: fromEnv('MIBO_PLATFORM_ID'),
    },
    {
      pattern: /^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})?$/,
      expected: 'a UUID, or empty',
      lowerCase: true,
    },
  ),
  on_client_key: choice({
    about: 'Where api_key is set and a client brings a key too: use_own, or use_client.',
    preset: 'use_own',
    values: ['use_own', 'use_client'],
  }),
});

const store = section('Where keys, projects and agents are kept.', {
  kind: choice({
    about: 'sqlite: a file on this machine · postgres: shared by many gateways.',
    preset: 'sqlite',
    values: ['sqlite', 'postgres'],
  }),
  path: filePath({
    about: 'For sqlite: the file, relative to the working directory.',
    preset: './data/keys.db',
  }),
  url: serverUrl({
    about: 'For postgres: the URL of the database; sqlite does not look at it.',
    preset: fromEnv('DATABASE_URL'),
  }),
});

const cache = section('For postgres: what is remembered of it; sqlite needs no cache.', {
  max_keys: whole({
    about: 'The number of known keys in memory.',
    preset: 100_000,
    min: 1,
    max: 10_000_000,
  }),
  ttl: duration({ about: 'How long for known keys.', preset: '5m', min: '1s', max: '24h' }),
  negative_ttl: duration({
    about: 'How long for unknown keys.',
    preset: '30s',
    min: '0s',
    max: '1h',
  }),
  lease: duration({
    about: 'A revoked key is refused everywhere within this; so long a revocation takes.',
    preset: '1s',
    min: '500ms',
    max: '1m',
  }),
  stale_if_error: duration({
    about: 'How long known keys, even revoked ones, still work while the store is down.',
    preset: '0s',
    min: '0s',
    max: '5m',
  }),
});

export const auth = section('Who may send.', {
  mode: choice({
    about: 'keys: check them here · passthrough: a sidecar; the next hop checks them.',
    preset: 'keys',
    values: ['keys', 'passthrough'],
  }),
  header: headerName({
    about: 'The header with the key; `Authorization: Bearer <key>` works too.',
    preset: 'x-api-key',
    reserved,
  }),
  passthrough,
  store,
  redis: section('A cache that gateways share, for store postgres and for limits.per_key.', {
    url: serverUrl({
      about: 'redis://, rediss://, a list of them (Cluster) or redis+sentinel://; empty: none.',
      preset: fromEnv('REDIS_URL'),
    }),
    key_prefix: text({ about: 'What the names in Redis begin with.', preset: 'mibo:' }),
  }),
  cache,
});

export const routing = section('Which agent a resource belongs to.', {
  attribute: text(
    { about: 'The resource attribute that names the agent.', preset: 'mibo.platform_id' },
    { pattern: /^[^\s\p{Cc}]+$/u, expected: 'the name of an attribute, without spaces' },
  ),
  header: headerName({
    about: 'The header that names it where no attribute does.',
    preset: 'x-mibo-platform-id',
    reserved,
  }),
  on_scope_conflict: choice({
    about: 'A key of one agent, a request that names another: use_scope warns, reject refuses.',
    preset: 'use_scope',
    values: ['use_scope', 'reject'],
  }),
});

const rate = (about: string) => whole({ about, preset: 0, min: 0, max: 1_000_000_000_000 });

export const limits = section('How much is taken at once.', {
  in_flight_mib: whole({
    about: 'Memory for the bodies of requests, all clients together.',
    preset: 256,
    unit: 'MiB',
    min: 1,
    max: 1_048_576,
  }),
  admission_wait: duration({
    about: 'How long a request waits for room before it is refused.',
    preset: '1s',
    min: '0s',
    max: '60s',
  }),
  request_deadline: duration({
    about: 'Every request is answered by then; many clients give up at 10s.',
    preset: '9s',
    min: '100ms',
    max: '60s',
  }),
  per_key: section('For each key, all gateways on one Redis together; 0 for no limit.', {
    requests_per_second: rate('Requests.'),
    spans_per_second: rate('Spans.'),
    bytes_per_second: rate('Bytes of bodies, inflated.'),
  }),
  unknown_key_failures_per_minute_per_ip: whole({
    about: 'Wrong keys a minute from one address before more are refused; 0 for no limit.',
    preset: 60,
    min: 0,
    max: 1_000_000,
  }),
  trusted_proxies: networkList({
    about: 'Addresses or networks whose X-Forwarded-For names the client.',
    preset: [],
  }),
});
