/** The questions: one row of the table each, and what a request of that row looks like. */

export type BodySpec = {
  /** Spans in one request. */
  readonly spans: 1 | 512;
  readonly encoding: 'proto' | 'json';
  readonly compression: 'identity' | 'gzip';
  /** Whether the resource names its agent; else the key's scope decides and the gateway stamps. */
  readonly named: boolean;
};

export type Row = BodySpec & {
  /** Unique; what `--only` is matched against. */
  readonly name: string;
  readonly transport: 'grpc' | 'http';
  /** `none`: the load goes straight to a bare sink, which is what is measured. */
  readonly mode: 'memory' | 'sync' | 'durable' | 'none';
};

/** Requests under way at once: connections, and streams on each of them (1 over HTTP/1.1). */
export type Width = { readonly connections: number; readonly streams: number };

export function widthOf(row: Row): Width {
  const total = row.spans === 1 ? 32 : 16;
  return row.transport === 'grpc'
    ? { connections: 8, streams: total / 8 }
    : { connections: total, streams: 1 };
}

const plain = { encoding: 'proto', compression: 'identity', named: true } as const;

/** Joined, the words of a row are its name: `memory grpc gzip 512`. */
function rowOf(row: Omit<Row, 'name'>): Row {
  const words = [row.mode === 'none' ? 'sink-alone' : row.mode, row.transport];
  if (row.encoding === 'json') words.push('json');
  words.push(row.compression === 'gzip' ? 'gzip' : 'plain', String(row.spans));
  if (!row.named) words.push('stamped');
  return { ...row, name: words.join(' ') };
}

function gatewayRows(mode: 'memory' | 'sync'): Row[] {
  return ([512, 1] as const).flatMap((spans) =>
    (['grpc', 'http'] as const).flatMap((transport) =>
      (['identity', 'gzip'] as const).map((compression) =>
        rowOf({ ...plain, mode, transport, compression, spans }),
      ),
    ),
  );
}

export const rows: readonly Row[] = [
  rowOf({ ...plain, mode: 'none', transport: 'http', spans: 512 }),
  rowOf({ ...plain, mode: 'none', transport: 'http', spans: 1 }),
  ...gatewayRows('memory'),
  rowOf({ ...plain, mode: 'memory', transport: 'http', spans: 512, named: false }),
  rowOf({ ...plain, mode: 'memory', transport: 'http', spans: 512, encoding: 'json' }),
  ...gatewayRows('sync'),
  rowOf({ ...plain, mode: 'sync', transport: 'http', spans: 512, named: false }),
];
