/**
 * The ways in, behind one call, with the answers in one shape, so that a test can ask the same
 * question at each of them.
 */

import { framed, type GrpcClient, partialOf, retryInfoOf } from './grpc-client.ts';
import { type HttpAnswer, http } from './http-client.ts';
import type { ExportToSend } from './make-export.ts';
import {
  type PartialSuccess,
  readExportResponse,
  readExportResponseJson,
  readStatus,
} from './read-answer.ts';

export type Door = 'grpc' | 'http proto' | 'http json' | 'envelope proto' | 'envelope json';

export const otlpDoors = ['grpc', 'http proto', 'http json'] as const;
export const envelopeDoors = ['envelope proto', 'envelope json'] as const;

export type DoorAnswer = {
  /** HTTP status; gRPC codes are translated by the table below. */
  readonly status: number;
  /** What a person is told; '' on full success. */
  readonly message: string;
  /** The stable word: `PLATFORM_NOT_FOUND`; '' on success. */
  readonly code: string;
  readonly rejected: number;
  readonly retryMs: number | undefined;
};

export type Gate = {
  readonly grpc: GrpcClient;
  readonly httpPort: number;
};

/** The gRPC codes of the error table, as the HTTP status that stands beside them. */
const httpOfGrpc: Readonly<Record<number, number>> = {
  0: 200,
  3: 400,
  4: 504,
  7: 403,
  8: 413,
  12: 404,
  14: 503,
  16: 401,
};

export type Sending = {
  readonly door: Door;
  readonly body: ExportToSend;
  /** Name, value, name, value. */
  readonly headers: readonly string[];
};

export async function sendExport(gate: Gate, sending: Sending): Promise<DoorAnswer> {
  if (sending.door === 'grpc') return sendGrpc(gate, sending);
  const json = sending.door.endsWith('json');
  const envelope = sending.door.startsWith('envelope');
  const answer = await http({
    port: gate.httpPort,
    path: envelope ? '/public/traces' : '/v1/traces',
    headers: [
      'Content-Type',
      json ? 'application/json' : 'application/x-protobuf',
      ...sending.headers,
    ],
    body: json ? sending.body.json : sending.body.proto,
  });
  if (answer.status === 200) return success(200, partialOfHttp(answer, json));
  return envelope ? miboRefusal(answer) : httpRefusal(answer, json);
}

async function sendGrpc(gate: Gate, { body, headers }: Sending): Promise<DoorAnswer> {
  const answer = await gate.grpc.call({ headers, body: framed(body.proto) });
  if (answer.status === 0) return success(200, partialOf(answer));
  return {
    status: httpOfGrpc[answer.status] ?? answer.status,
    message: answer.message,
    code: codeOf(answer.message),
    rejected: 0,
    retryMs: retryInfoOf(answer).inStatus,
  };
}

function success(status: number, partial: PartialSuccess | undefined): DoorAnswer {
  const { rejected = 0, message = '' } = partial ?? {};
  return { status, message, code: '', rejected, retryMs: undefined };
}

function partialOfHttp(answer: HttpAnswer, json: boolean): PartialSuccess | undefined {
  return json ? readExportResponseJson(answer.body) : readExportResponse(answer.body);
}

function httpRefusal(answer: HttpAnswer, json: boolean): DoorAnswer {
  const message = json
    ? (JSON.parse(answer.body.toString()) as { message: string }).message
    : readStatus(answer.body).message;
  return {
    status: answer.status,
    message,
    code: codeOf(message),
    rejected: 0,
    retryMs: retryAfterMs(answer),
  };
}

/** A refusal in Mibo's shape, as every error on `/public/traces` has it. */
export function miboRefusal(answer: HttpAnswer): DoorAnswer {
  const { error } = JSON.parse(answer.body.toString()) as {
    error: { code: string; message: string };
  };
  return {
    status: answer.status,
    message: error.message,
    code: error.code,
    rejected: 0,
    retryMs: retryAfterMs(answer),
  };
}

export function retryAfterMs(answer: HttpAnswer): number | undefined {
  const header = answer.headers['retry-after'];
  return header === undefined ? undefined : Number(header) * 1000;
}

/** The token at the end: `... [PLATFORM_NOT_FOUND]`. */
export function codeOf(message: string): string {
  return /\[([A-Z_]+)\]$/.exec(message)?.[1] ?? '';
}
