/** `sink`: the ingestion service on its own. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { defaultConfig } from '../config/config.ts';
import { written } from './address.ts';
import { fileFault } from './file-fault.ts';
import { type Io, say } from './io.ts';
import { requireOpenable } from './listeners.ts';
import { Refusal } from './refusal.ts';
import { createSink } from './sink.ts';
import { deliveryRecord, traceLines } from './sink-lines.ts';

export type SinkCommandOptions = { readonly port: number; readonly file?: string };

const host = '127.0.0.1';

export async function runSink(io: Io, { port, file }: SinkCommandOptions): Promise<void> {
  const { attribute } = defaultConfig(io.env).routing;
  const stopRequested = io.stopRequested();
  const keep = file === undefined ? undefined : openRecords(file);
  const sink = createSink({
    host,
    port,
    attribute,
    onDelivery(delivery) {
      const at = new Date();
      keep?.write(deliveryRecord(delivery, at));
      for (const line of traceLines(delivery, { at, agentName: () => undefined })) {
        io.stdout.write(`${line}\n`);
      }
    },
  });
  const given = file === undefined ? [] : [['--file', file] as const];
  await requireOpenable(
    [{ name: 'sink', option: (to) => ['--port', String(to.port)], host, port }],
    { command: `${io.program} sink`, given },
  );
  const openPort = await sink.start();
  const endpoint = `http://${written({ host, port: openPort })}`;
  say(io, `The sink listens at ${endpoint}. To forward to it:`);
  say(io, `  ${io.program} start --set downstream.endpoint=${endpoint}`);
  await stopRequested;
  await sink.stop();
  keep?.close();
  io.stdout.write('# stopped\n');
}

type Records = { write(line: string): void; close(): void };

/** Synchronous, so that a record is there once its delivery is answered. */
function openRecords(path: string): Records {
  try {
    const file = openSync(path, 'a', 0o600);
    return {
      write: (line) => void writeSync(file, `${line}\n`),
      close: () => closeSync(file),
    };
  } catch (error) {
    throw new Refusal(`name a file that can be written with --file: ${fileFault(path, error)}`);
  }
}
