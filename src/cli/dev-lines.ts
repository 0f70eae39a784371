/**
 * What `dev` prints: lines that a shell takes as they are.
 *
 * Everything is either `export NAME=value`, one curl command, or a comment, so that any part can be
 * pasted, and the whole too. zsh knows no comments at its prompt: it looks for a command `#`, which
 * does no harm as long as no comment holds a quote, a bracket or another sign that means something.
 * The groups are complete in themselves: pasting one after another leaves nothing half set.
 */
import type { Config } from '../config/config.ts';
import { reachable } from './address.ts';
import { type Demo, salesBot, supportBot } from './demo.ts';
import type { Listener } from './listeners.ts';

export type DevLinesOptions = {
  readonly config: Config;
  readonly demo: Demo;
  /** With the ports in use. */
  readonly listeners: readonly Listener[];
  /** Where traces can be seen. */
  readonly arrivals: string;
};

/** How an SDK is told where to send, and by which protocol. */
type Way = { readonly endpoint: string; readonly protocol: string };

export function devLines({ config, demo, listeners, arrivals }: DevLinesOptions): string[] {
  const address = (name: string) => {
    const listener = listeners.find((each) => each.name === name);
    return listener === undefined ? '' : reachable(listener);
  };
  const [grpc, http] = [`http://${address('otlp_grpc')}`, `http://${address('otlp_http')}`];
  const overHttp: Way = { endpoint: http, protocol: 'http/protobuf' };
  const overGrpc: Way = { endpoint: grpc, protocol: 'grpc' };
  const { header } = config.auth;
  const namesSales = `,${config.routing.attribute}=${salesBot.id}`;
  const otlp = ({ endpoint, protocol }: Way, key: string, agent = '') => [
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${endpoint}`,
    `export OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}`,
    `export OTEL_EXPORTER_OTLP_HEADERS=${header}=${key}`,
    `export OTEL_RESOURCE_ATTRIBUTES=service.name=my-app${agent}`,
  ];
  return [
    '# The gateway is ready. Paste lines into the shell of your app. Ctrl-C here stops it.',
    `#   OTLP/HTTP ${http}   OTLP/gRPC ${grpc}`,
    `#   health http://${address('health')}/readyz   metrics http://${address('metrics')}/metrics`,
    ...adminLine(config, address('admin')),
    `#   project ${demo.projectName}, agents ${supportBot.name} ${supportBot.id}`,
    `#                     and ${salesBot.name} ${salesBot.id}`,
    '#',
    '# Traces are all that is wanted here, of any SDK:',
    'export OTEL_METRICS_EXPORTER=none',
    'export OTEL_LOGS_EXPORTER=none',
    '#',
    `# 1. The key of one agent, ${supportBot.name}, over HTTP: Node, Python, Java, Go, .NET, tools`,
    ...otlp(overHttp, demo.supportKey),
    '#',
    '# 2. The same over gRPC',
    ...otlp(overGrpc, demo.supportKey),
    '#',
    `# 3. The key of all agents: the app names its own, here ${salesBot.name}`,
    ...otlp(overHttp, demo.projectKey, namesSales),
    ...yourApi(config, { http, key: demo.supportKey }),
    '#',
    `# The keys are kept in ${demo.keysPath}, which only you can read.`,
    `# Traces arrive ${arrivals}:`,
  ];
}

function adminLine({ admin }: Config, address: string): string[] {
  if (address === '') return [];
  const token = admin.token === '' ? '' : '   with the token of MIBO_ADMIN_TOKEN or admin.token';
  return [`#   admin API http://${address}/admin/v1/projects${token}`];
}

function yourApi(config: Config, { http, key }: { http: string; key: string }): string[] {
  const { enabled, path } = config.receivers.traces_api;
  if (!enabled) return [];
  const span = { span_id: 's-1', name: 'Hello', attributes: { 'gen_ai.response.text': 'Hi' } };
  return [
    '#',
    '# 4. Without an SDK: spans as plain JSON',
    [
      `curl -sS -w '\\n' ${http}${path}`,
      `-H '${config.auth.header}: ${key}' -H 'content-type: application/json'`,
      `-d '${JSON.stringify({ spans: [span] })}'`,
    ].join(' '),
  ];
}
