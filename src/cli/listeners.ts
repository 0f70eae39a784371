/** The listeners of a command, and plain words where they cannot open. */
import { createServer } from 'node:net';
import type { Config } from '../config/config.ts';
import type { GatewayPorts } from '../gateway.ts';
import { type Endpoint, written } from './address.ts';
import { type CommandLine, formatCommandLine, type GivenOption } from './command-line.ts';
import { Refusal } from './refusal.ts';

export type Listener = Endpoint & {
  readonly name: string;
  /** The option that moves it: `--set`, `telemetry.health.endpoint=127.0.0.1:14133`. */
  readonly option: (to: Endpoint) => GivenOption;
};

/** Those of a gateway, with the ports as configured or, once it runs, as they really are. */
export function gatewayListeners(config: Config, ports?: GatewayPorts): Listener[] {
  const { grpc, http } = config.receivers.otlp.protocols;
  const { health, metrics } = config.telemetry;
  const admin = config.admin.endpoint;
  const at = (name: string, setting: string, { host, port }: Endpoint) => {
    const option = (to: Endpoint) => ['--set', `${setting}.endpoint=${written(to)}`] as const;
    return { name, option, host, port };
  };
  const moved = ({ endpoint }: { endpoint: Endpoint }, port: number | undefined) => {
    return { host: endpoint.host, port: port ?? endpoint.port };
  };
  return [
    at('otlp_grpc', 'receivers.otlp.protocols.grpc', moved(grpc, ports?.grpcPort)),
    at('otlp_http', 'receivers.otlp.protocols.http', moved(http, ports?.httpPort)),
    at('health', 'telemetry.health', moved(health, ports?.healthPort)),
    at('metrics', 'telemetry.metrics', moved(metrics, ports?.metricsPort)),
    ...(admin === null ? [] : [at('admin', 'admin', moved({ endpoint: admin }, ports?.adminPort))]),
  ];
}

/**
 * Rejects with one `Refusal` that names every listener that could not open, so that a user who has
 * another gateway running corrects the command once and not four times. `line` is that command.
 */
export async function requireOpenable(
  listeners: readonly Listener[],
  line: CommandLine,
): Promise<void> {
  const faults = await Promise.all(listeners.map(listenFault));
  const taken = listeners.flatMap((listener, index) => {
    const fault = faults[index];
    return fault === undefined ? [] : [{ ...listener, fault }];
  });
  if (taken.length === 0) return;
  const options = taken.map((listener) => listener.option(otherAddress(listener)));
  throw new Refusal(
    [
      'choose other addresses, for example',
      `  ${formatCommandLine(line, options)}`,
      ...taken.map(({ name, fault, ...at }) => {
        return `  ${name} cannot listen at ${written(at)}: ${reasons[fault] ?? fault}`;
      }),
    ].join('\n'),
  );
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has that port',
  EACCES: 'this user may not open that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host is known',
};

export async function canOpen(endpoint: Endpoint): Promise<boolean> {
  return (await listenFault(endpoint)) === undefined;
}

/** The code of the error, or undefined where the port opens. */
function listenFault({ host, port }: Endpoint): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({ host, port }, () => probe.close(() => resolve(undefined)));
  });
}

/** Where it is the port: 4318 → 5318, never a privileged or an impossible one. Else the host. */
function otherAddress({ host, port, fault }: Endpoint & { readonly fault: string }): Endpoint {
  if (fault !== 'EADDRINUSE' && fault !== 'EACCES') return { host: '127.0.0.1', port };
  return { host, port: port + 1000 > 65_535 ? port - 1000 : Math.max(port + 1000, 1024) };
}
