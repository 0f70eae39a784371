/** `start`: runs the gateway until it is asked to stop. */
import type { Config } from '../config/config.ts';
import { createGateway } from '../gateway.ts';
import { createObservability } from '../observability/observability.ts';
import { written } from './address.ts';
import type { Io } from './io.ts';
import { gatewayListeners, requireOpenable } from './listeners.ts';
import { givenSettings, loadSettings, type SettingsOptions } from './settings.ts';

export async function start(io: Io, options: SettingsOptions): Promise<void> {
  const config = loadSettings(io, options);
  // From here on, so that a signal during the start is not missed.
  const stopRequested = io.stopRequested();
  const line = { command: `${io.program} start`, given: givenSettings(options) };
  const openable = () => requireOpenable(gatewayListeners(config), line);
  await openable();
  const observability = createObservability({ level: config.telemetry.logs.level });
  const { log } = observability;
  const gateway = createGateway({ config, observability });
  const started = gateway.start().catch(async (fault: NodeJS.ErrnoException) => {
    // A port may have been taken while it waited for its store.
    if (fault.syscall === 'listen') await openable();
    throw fault;
  });
  const ports = await Promise.race([started, stopRequested]);
  // It may still wait for its store; the process ends without it.
  if (typeof ports === 'string') return log.info({ signal: ports }, 'stopped before it was ready');
  for (const { name, host, port } of gatewayListeners(config, ports)) {
    log.info({ listener: name, host, port, address: written({ host, port }) }, 'listening');
  }
  log.info(whatItDoes(config), 'ready');
  const signal = await stopRequested;
  log.info({ signal, timeout_ms: config.shutdown_timeout }, 'stopping');
  await gateway.stop();
  log.info('stopped');
}

function whatItDoes({ auth, delivery, downstream }: Config) {
  const keys = auth.mode === 'keys' ? auth.store.kind : auth.mode;
  return { keys, mode: delivery.mode, downstream: downstream.endpoint };
}
