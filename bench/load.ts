/** The load as its own process, called over the process channel. */
import { serveCalls } from './child.ts';
import { createGrpcLoad } from './grpc-load.ts';
import { createHttpLoad } from './http-load.ts';
import type { LoadClient, PhaseResult } from './load-client.ts';
import { makePayloads } from './payloads.ts';
import { type Row, widthOf } from './rows.ts';

export type LoadCalls = {
  /** Makes the bodies and opens the connections. */
  open(options: { row: Row; port: number; apiKey: string }): Promise<void>;
  run(durationMs: number): Promise<PhaseResult>;
  close(): void;
};

let client: LoadClient | undefined;

serveCalls<LoadCalls>({
  async open({ row, port, apiKey }) {
    const create = row.transport === 'grpc' ? createGrpcLoad : createHttpLoad;
    client = await create({
      port,
      apiKey,
      contentType: row.encoding === 'json' ? 'application/json' : 'application/x-protobuf',
      compression: row.compression,
      payloads: makePayloads(row),
      ...widthOf(row),
    });
  },
  run(durationMs) {
    if (client === undefined) throw new Error('open a load before running it');
    return client.run(durationMs);
  },
  close() {
    client?.close();
    client = undefined;
  },
});
