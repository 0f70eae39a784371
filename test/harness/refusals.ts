/** What a refusal has to look like on the wire: one description, checked over HTTP and gRPC. */
import { expect } from 'vitest';
import { codeOf, retryAfterMs } from './doors.ts';
import { type GrpcAnswer, retryInfoOf } from './grpc-client.ts';
import type { HttpAnswer } from './http-client.ts';
import { readStatus } from './read-answer.ts';

export const encodings = ['application/x-protobuf', 'application/json'] as const;
export type EncodingName = (typeof encodings)[number];

export type Refusal = {
  readonly http: number;
  readonly grpc: number;
  readonly code: string;
  readonly hint?: RegExp;
  /** The client is told how long to wait. */
  readonly retry?: boolean;
};

/** Python exporters and n8n show only the reason phrase, so the fix has to be in it. */
const phraseCharsMax = 120;

export function expectHttpRefusal(
  answer: HttpAnswer,
  { encoding, refusal }: { encoding: EncodingName; refusal: Refusal },
): void {
  expect(answer.headers['content-type'], 'in the encoding of the request').toBe(encoding);
  const { code, message } =
    encoding === 'application/json' ? readJsonStatus(answer.body) : readStatus(answer.body);
  expect(answer.status, message).toBe(refusal.http);
  expect(code, 'google.rpc.Status.code').toBe(refusal.grpc);
  expectMessage(message, refusal);
  expect(answer.reason).toMatch(/^[\x20-\x7e]{1,120}$/);
  const hint = message.replace(/ \[[A-Z_]+\]$/, '').replace(/[^\x20-\x7e]/g, '?');
  expect(hint.startsWith(answer.reason.slice(0, phraseCharsMax / 2)), answer.reason).toBe(true);
  expectRetry(retryAfterMs(answer), refusal);
}

function readJsonStatus(body: Buffer): { code: number; message: string } {
  const status = JSON.parse(body.toString()) as { code: number; message: string; details?: [] };
  expect(status.details ?? [], 'details stay empty').toEqual([]);
  return status;
}

export function expectGrpcRefusal(answer: GrpcAnswer, refusal: Refusal): void {
  expect(answer.httpStatus).toBe(200);
  expect(answer.status, answer.message).toBe(refusal.grpc);
  expectMessage(answer.message, refusal);
  const { inStatus, inTrailer } = retryInfoOf(answer);
  expectRetry(inStatus, refusal);
  expectRetry(inTrailer, refusal);
}

function expectMessage(message: string, refusal: Refusal): void {
  expect(codeOf(message), message).toBe(refusal.code);
  expect(Buffer.byteLength(message)).toBeLessThan(1024);
  if (refusal.hint !== undefined) expect(message).toMatch(refusal.hint);
}

/** A longer wait than 3 s makes JavaScript clients give up. */
function expectRetry(waitMs: number | undefined, { retry = false }: Refusal): void {
  if (!retry) {
    expect(waitMs, 'a retry cannot help').toBeUndefined();
    return;
  }
  expect(waitMs).toBeGreaterThanOrEqual(1000);
  expect(waitMs).toBeLessThanOrEqual(3000);
}
