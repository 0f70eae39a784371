/** Settings of what comes in: the listeners, Your API, and which signals are taken. */
import { choice, duration, endpoint, flag, whole } from './kinds.ts';
import { section } from './setting.ts';
import { text, textList, urlPath } from './text-kinds.ts';

/** Node's timers overflow above 24.8 days and then fire at once. */
const timerMax = '576h';

const file = (about: string) => text({ about, preset: '' });
export const tlsVersion = () =>
  choice({ about: 'The oldest version of TLS accepted.', preset: '1.2', values: ['1.2', '1.3'] });
export const tlsReload = () =>
  duration({
    about: 'How often the files are read again; 0s only at the start.',
    preset: '0s',
    min: '0s',
    max: timerMax,
  });

const listenerTls = section('Encryption; with an empty cert_file the listener is plain text.', {
  cert_file: file('The certificate chain, PEM.'),
  key_file: file('Its private key, PEM.'),
  client_ca_file: file('Clients must show a certificate of this authority, PEM; empty asks none.'),
  min_version: tlsVersion(),
  reload_interval: tlsReload(),
});

const keepalive = section('How long connections live.', {
  max_connection_age: duration({
    about: 'A connection is closed politely after this, ± 10 %, so that clients spread.',
    preset: '3m',
    min: '1s',
    max: timerMax,
  }),
  max_connection_age_grace: duration({
    about: 'How long its running requests may still take.',
    preset: '1m',
    min: '0s',
    max: timerMax,
  }),
  time: duration({
    about: 'A silent connection is pinged after this.',
    preset: '2m',
    min: '1s',
    max: timerMax,
  }),
  timeout: duration({
    about: 'It is closed if no answer to the ping comes within this.',
    preset: '20s',
    min: '100ms',
    max: timerMax,
  }),
});

const grpc = section('OTLP over gRPC.', {
  endpoint: endpoint({ about: 'Where it listens.', preset: '0.0.0.0:4317' }),
  max_recv_msg_size_mib: whole({
    about: 'The largest message, on the wire and inflated.',
    preset: 64,
    unit: 'MiB',
    min: 1,
    max: 512,
  }),
  max_concurrent_streams: whole({
    about: 'Requests at once on one connection.',
    preset: 256,
    min: 1,
    max: 10_000,
  }),
  keepalive,
  tls: listenerTls,
});

const cors = section('Which web pages may send; with no allowed_origins, none.', {
  allowed_origins: textList({ about: 'Origins such as https://app.example.com.', preset: [] }),
  allowed_headers: textList({ about: 'Request headers beside the usual ones.', preset: [] }),
  max_age: duration({
    about: 'How long a browser may remember the answer.',
    preset: '0s',
    min: '0s',
    max: '24h',
  }),
});

const http = section('OTLP over HTTP.', {
  endpoint: endpoint({ about: 'Where it listens.', preset: '0.0.0.0:4318' }),
  max_request_body_size_mib: whole({
    about: 'The largest body, on the wire and inflated.',
    preset: 64,
    unit: 'MiB',
    min: 1,
    max: 512,
  }),
  read_header_timeout: duration({
    about: 'How long a client may take to send the head of a request.',
    preset: '10s',
    min: '100ms',
    max: '10m',
  }),
  read_timeout: duration({
    about: 'How long a client may take to send a whole request.',
    preset: '60s',
    min: '100ms',
    max: '1h',
  }),
  tls: listenerTls,
  cors,
});

const tracesApi = section('Your API: flat spans as JSON, on the HTTP listener.', {
  enabled: flag({ about: 'Whether the path is served.', preset: true }),
  path: urlPath({ about: 'Its path.', preset: '/public/traces' }),
  max_request_body_size_mib: whole({
    about: 'The largest body, on the wire and inflated.',
    preset: 10,
    unit: 'MiB',
    min: 1,
    max: 512,
  }),
});

export const receivers = section('What listens for clients.', {
  otlp: section('The OpenTelemetry protocol.', {
    protocols: section('A listener for each transport.', { grpc, http }),
  }),
  traces_api: tracesApi,
});

const signal = (name: string, preset: string) =>
  choice({
    about: `${name}: forward, or reject and tell the client how to stop sending them.`,
    preset,
    values: ['forward', 'reject'],
  });

export const signals = section('What is done with each kind of telemetry.', {
  traces: signal('Traces', 'forward'),
  metrics: signal('Metrics', 'reject'),
  logs: signal('Logs', 'reject'),
});
