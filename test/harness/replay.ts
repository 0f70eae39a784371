/** Sends a captured request again as it was, but for the host and, if one is given, the key. */
import { type Fixture, fixtureKey } from './fixtures.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { grpcClient, partialOf } from './grpc-client.ts';
import { http } from './http-client.ts';
import {
  type PartialSuccess,
  readExportResponse,
  readExportResponseJson,
  readStatus,
} from './read-answer.ts';

export type Replayed = {
  /** HTTP status; gRPC codes are translated. */
  readonly status: number;
  /** Of a refusal. */
  readonly message: string;
  readonly partial: PartialSuccess | undefined;
  /** What the answer was written in. */
  readonly contentType: string | undefined;
};

const httpOfGrpc: Readonly<Record<number, number>> = { 0: 200, 3: 400, 7: 403, 16: 401 };

export async function replay(
  gateway: GatewayProcess,
  fixture: Fixture,
  key = fixtureKey,
): Promise<Replayed> {
  const port = fixture.protocol === 'grpc' ? gateway.ports.grpc : gateway.ports.http;
  const headers: string[] = [];
  for (let index = 0; index < fixture.headers.length; index += 2) {
    const [name = '', value = ''] = fixture.headers.slice(index, index + 2);
    if (name.startsWith(':')) continue;
    headers.push(name, name.toLowerCase() === 'host' ? `127.0.0.1:${port}` : value);
  }
  const sent = headers.map((it) => (it === fixtureKey ? key : it));
  return fixture.protocol === 'grpc'
    ? replayGrpc({ port, fixture, headers: sent })
    : replayHttp({ port, fixture, headers: sent });
}

type Sending = {
  readonly port: number;
  readonly fixture: Fixture;
  readonly headers: readonly string[];
};

async function replayGrpc({ port, fixture, headers }: Sending): Promise<Replayed> {
  const client = grpcClient(port);
  try {
    const answer = await client.call({ path: fixture.path, headers, body: fixture.body });
    return {
      status: answer.httpStatus === 200 ? (httpOfGrpc[answer.status] ?? 500) : answer.httpStatus,
      message: answer.message,
      partial: partialOf(answer),
      contentType: answer.fields['content-type'],
    };
  } finally {
    client.close();
  }
}

async function replayHttp({ port, fixture, headers }: Sending): Promise<Replayed> {
  const { method, path, body } = fixture;
  const answer = await http({ port, method, path, headers, body });
  const json = fixture.protocol === 'http/json';
  const { status } = answer;
  const contentType = answer.headers['content-type'];
  if (status === 200) {
    const read = json ? readExportResponseJson : readExportResponse;
    return { status, message: '', partial: read(answer.body), contentType };
  }
  const message = json
    ? (JSON.parse(answer.body.toString()) as { message: string }).message
    : readStatus(answer.body).message;
  return { status, message, partial: undefined, contentType };
}
