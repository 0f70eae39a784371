/** What must hold between settings that are each right by themselves. */
import { authFits } from './check-auth.ts';
import { formatDuration, formatEndpoint } from './notation.ts';
import type { ConfigProblem } from './problems.ts';
import type { Config } from './schema.ts';

/** `against` is the other setting: where that one is wrong already, this says nothing new. */
export type JointProblem = ConfigProblem & { readonly against?: string };

export function checkTogether(config: Config): readonly JointProblem[] {
  return [
    ...listenersApart(config),
    ...sizesFit(config),
    ...timesFit(config),
    ...namesApart(config),
    ...authFits(config),
  ];
}

function listenersApart(config: Config): JointProblem[] {
  const { grpc, http } = config.receivers.otlp.protocols;
  const listeners = Object.entries({
    'receivers.otlp.protocols.grpc.endpoint': grpc.endpoint,
    'receivers.otlp.protocols.http.endpoint': http.endpoint,
    'admin.endpoint': config.admin.endpoint,
    'telemetry.metrics.endpoint': config.telemetry.metrics.endpoint,
    'telemetry.health.endpoint': config.telemetry.health.endpoint,
  }).flatMap(([path, endpoint]) => (endpoint === null ? [] : [{ path, endpoint }]));
  return listeners.flatMap(({ path, endpoint }, index) => {
    const other = listeners.slice(0, index).find((each) => collide(each.endpoint, endpoint));
    if (other === undefined) return [];
    return [
      {
        path,
        against: other.path,
        value: formatEndpoint(endpoint),
        expected: `another port than ${other.path} (${formatEndpoint(other.endpoint)})`,
      },
    ];
  });
}

type Endpoint = Config['telemetry']['health']['endpoint'];

const anyHost = new Set(['0.0.0.0', '::']);

function collide(one: Endpoint, other: Endpoint): boolean {
  // Port 0 is a free port each time.
  if (one.port !== other.port || one.port === 0) return false;
  const hosts = [one.host, other.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  return hosts[0] === hosts[1] || hosts.some((host) => anyHost.has(host));
}

function sizesFit(config: Config): JointProblem[] {
  const { grpc, http } = config.receivers.otlp.protocols;
  const against = 'limits.in_flight_mib';
  const roomMib = config.limits.in_flight_mib;
  return Object.entries({
    'receivers.otlp.protocols.grpc.max_recv_msg_size_mib': grpc.max_recv_msg_size_mib,
    'receivers.otlp.protocols.http.max_request_body_size_mib': http.max_request_body_size_mib,
    'receivers.traces_api.max_request_body_size_mib':
      config.receivers.traces_api.max_request_body_size_mib,
  }).flatMap(([path, value]) => {
    if (value <= roomMib) return [];
    const expected = `at most ${against} (${roomMib}), since one request must fit into it`;
    return [{ path, against, value, expected, hint: `lower it, or raise ${against}` }];
  });
}

function timesFit({ limits, delivery }: Config): JointProblem[] {
  const { initial_interval, max_interval } = delivery.retry_on_failure;
  return [
    ...notAbove(
      ['limits.admission_wait', limits.admission_wait],
      ['limits.request_deadline', limits.request_deadline],
    ),
    ...notAbove(
      ['delivery.retry_on_failure.initial_interval', initial_interval],
      ['delivery.retry_on_failure.max_interval', max_interval],
    ),
  ];
}

function notAbove(small: [string, number], large: [string, number]): JointProblem[] {
  const [path, valueMs] = small;
  const [against, largestMs] = large;
  if (valueMs <= largestMs) return [];
  const expected = `at most ${against} (${formatDuration(largestMs)})`;
  return [{ path, against, value: formatDuration(valueMs), expected }];
}

function namesApart({ auth, routing, receivers }: Config): JointProblem[] {
  const problems: JointProblem[] = [];
  if (routing.header === auth.header) {
    const expected = `another header than auth.header (${auth.header})`;
    const value = routing.header;
    problems.push({ path: 'routing.header', against: 'auth.header', value, expected });
  }
  const { path } = receivers.traces_api;
  // Paths of OTLP and of the health probe, which the same listener serves.
  if (/^\/(?:v1(?:\/.*)?|health\/?)?$/.test(path)) {
    const expected = 'a path other than /, /health and those under /v1/';
    problems.push({ path: 'receivers.traces_api.path', value: path, expected });
  }
  return problems;
}
