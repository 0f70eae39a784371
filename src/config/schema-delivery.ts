/** Settings of what goes out: the promise of a 200, the downstream, and the gateway's own word. */
import { fromEnv } from './environment.ts';
import { choice, decimal, duration, endpoint, endpointOrOff, whole } from './kinds.ts';
import { tlsReload, tlsVersion } from './schema-receivers.ts';
import { section } from './setting.ts';
import { filePath, headers, httpUrl, maskWhole, text, urlPath } from './text-kinds.ts';

const diskMib = { unit: 'MiB', min: 1, max: 16_777_216 };

const sendingQueue = section('For mode durable: the queue on disk.', {
  directory: filePath({
    about: 'Where it is, relative to the working directory.',
    preset: './data/queue',
  }),
  max_size_mib: whole({ about: 'The most disk it takes.', preset: 4096, ...diskMib }),
  when_full: choice({
    about: 'refuse: clients send again later · drop_oldest: into the dead letters.',
    preset: 'refuse',
    values: ['refuse', 'drop_oldest'],
  }),
});

const retryOnFailure = section('For modes memory and durable: how a failed send is repeated.', {
  initial_interval: duration({
    about: 'The wait after the first failure.',
    preset: '1s',
    min: '10ms',
    max: '1h',
  }),
  max_interval: duration({ about: 'The longest wait.', preset: '30s', min: '10ms', max: '24h' }),
  multiplier: decimal({ about: 'Each wait is this much longer.', preset: 1.5, min: 1, max: 10 }),
  randomization_factor: decimal({
    about: 'How far waits are spread by chance, so that senders do not march in step.',
    preset: 0.5,
    min: 0,
    max: 1,
  }),
  max_elapsed_time: duration({
    about: 'After this the delivery is given up.',
    preset: '24h',
    min: '1s',
    max: '8760h',
  }),
});

export const delivery = section('What a 200 means, and how nothing is lost.', {
  mode: choice({
    about: 'A 200 means: sync: the downstream has it · memory: in RAM · durable: on disk.',
    preset: 'sync',
    values: ['durable', 'sync', 'memory'],
  }),
  sending_queue: sendingQueue,
  retry_on_failure: retryOnFailure,
  batch: section('Joining what already waits; nothing waits in order to be joined.', {
    max_size_mib: whole({
      about: 'The largest joined request.',
      preset: 4,
      unit: 'MiB',
      min: 1,
      max: 512,
    }),
  }),
  dead_letters: section('What the downstream refused for good.', {
    directory: filePath({
      about: 'Where it is, relative to the working directory.',
      preset: './data/dead-letters',
    }),
    max_size_mib: whole({ about: 'The most disk it takes.', preset: 1024, ...diskMib }),
  }),
});

const file = (about: string) => text({ about, preset: '' });

export const downstream = section('The service that deliveries go to.', {
  endpoint: httpUrl({
    about: 'Its base URL.',
    preset: fromEnv('MIBO_DOWNSTREAM_ENDPOINT', 'http://127.0.0.1:4319'),
  }),
  traces_path: urlPath({ about: 'The path for OTLP.', preset: '/v1/traces' }),
  traces_api_path: urlPath({ about: 'The path for Your API.', preset: '/public/traces' }),
  encoding: choice({ about: 'How OTLP is written.', preset: 'proto', values: ['proto', 'json'] }),
  compression: choice({
    about: 'as_received passes compressed bodies on untouched.',
    preset: 'as_received',
    values: ['as_received', 'none', 'gzip', 'zstd'],
  }),
  headers: headers({
    about: 'Further headers, e.g. authorization: Bearer …; values are secrets.',
    preset: {},
    // The gateway's own, and those that describe the body or the connection.
    reserved:
      /^(?:x-mibo-.*|idempotency-key|x-request-id|content-.*|connection|host|transfer-encoding)$/i,
    reservedWords: 'x-mibo-*, idempotency-key, x-request-id, content-*, connection, host',
  }),
  timeout: duration({
    about: 'How long one attempt may take.',
    preset: '30s',
    min: '100ms',
    max: '10m',
  }),
  connections: whole({ about: 'Requests at once.', preset: 16, min: 1, max: 1024 }),
  tls: section('For an https endpoint.', {
    ca_file: file('Trust this authority, PEM; empty trusts the usual ones.'),
    cert_file: file('The certificate that the gateway shows, PEM.'),
    key_file: file('Its private key, PEM.'),
    min_version: tlsVersion(),
    reload_interval: tlsReload(),
  }),
});

export const admin = section('The admin API.', {
  endpoint: endpointOrOff({
    about: 'Where it listens; empty for none.',
    preset: '127.0.0.1:8080',
  }),
  token: text(
    {
      about: 'What it asks for, as Authorization: Bearer; must be set for more than loopback.',
      preset: fromEnv('MIBO_ADMIN_TOKEN'),
    },
    // RFC 6750 §2.1: what may follow "Bearer".
    { pattern: /^[\w.~+/-]*=*$/, expected: 'letters, digits and -._~+/ only', mask: maskWhole },
  ),
});

export const telemetry = section('What the gateway says about itself.', {
  metrics: section('Prometheus text at /metrics.', {
    endpoint: endpoint({ about: 'Where it listens.', preset: '0.0.0.0:8888' }),
  }),
  health: section('Probes at /, /readyz and /livez.', {
    endpoint: endpoint({ about: 'Where it listens.', preset: '0.0.0.0:13133' }),
  }),
  logs: section('JSON lines on standard error.', {
    level: choice({
      about: 'The least important line that is written.',
      preset: 'info',
      values: ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    }),
  }),
  traces: section('Spans about the gateway itself.', {
    endpoint: httpUrl({ about: 'Where they go; empty for none.', preset: '', orEmpty: true }),
  }),
});
