/** Independent readers of what the gateway answers: export responses, Status, RetryInfo. */
import { allBytes, lastBytes, lastInteger, readFields } from './wire.ts';

export type PartialSuccess = { readonly rejected: number; readonly message: string };

/** ExportTraceServiceResponse; undefined where `partial_success` is unset. */
export function readExportResponse(body: Buffer): PartialSuccess | undefined {
  const [partial] = allBytes(readFields(body), 1);
  if (partial === undefined) return undefined;
  const fields = readFields(partial);
  return {
    rejected: Number(lastInteger(fields, 1)),
    message: lastBytes(fields, 2).toString(),
  };
}

/** The same in JSON; 64-bit integers are strings there. */
export function readExportResponseJson(body: Buffer): PartialSuccess | undefined {
  const { partialSuccess } = JSON.parse(body.toString()) as {
    partialSuccess?: { rejectedSpans?: string | number; errorMessage?: string };
  };
  if (partialSuccess === undefined) return undefined;
  return {
    rejected: Number(partialSuccess.rejectedSpans ?? 0),
    message: partialSuccess.errorMessage ?? '',
  };
}

export type ReadStatus = {
  readonly code: number;
  readonly message: string;
  /** google.rpc.RetryInfo among the details, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  readonly details: number;
};

/** google.rpc.Status: code 1, message 2, details 3 (Any: type_url 1, value 2). */
export function readStatus(body: Buffer): ReadStatus {
  const fields = readFields(body);
  const details = allBytes(fields, 3).map((any) => {
    const inner = readFields(any);
    return { type: lastBytes(inner, 1).toString(), value: lastBytes(inner, 2) };
  });
  const retry = details.find(({ type }) => type === 'type.googleapis.com/google.rpc.RetryInfo');
  return {
    code: Number(lastInteger(fields, 1)),
    message: lastBytes(fields, 2).toString(),
    retryDelayMs: retry === undefined ? undefined : readRetryInfo(retry.value),
    details: details.length,
  };
}

/** google.rpc.RetryInfo: retry_delay 1 (Duration: seconds 1, nanos 2), in milliseconds. */
export function readRetryInfo(body: Buffer): number {
  const delay = readFields(lastBytes(readFields(body), 1));
  return Number(lastInteger(delay, 1)) * 1000 + Number(lastInteger(delay, 2)) / 1e6;
}
