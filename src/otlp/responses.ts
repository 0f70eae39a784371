/** The answers of OTLP (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response), both ways. */
import protobuf from 'protobufjs';
import type { Encoding } from '../core/delivery.ts';
import type { ExportResult } from '../core/incoming.ts';
import { delimitedField, eachField, type Range } from './fields.ts';
import { WireReader, wire } from './wire-reader.ts';

// ExportTraceServiceResponse.partial_success, rejected_spans, error_message.
const partialTag = (1 << 3) | wire.bytes;
const rejectedTag = (1 << 3) | wire.varint;
const messageTag = (2 << 3) | wire.bytes;

/** A downstream's text goes on into logs and answers, so its length is bounded. */
const messageCharsMax = 500;

const fullSuccess: ExportResult = { rejectedItems: 0, message: '' };

/**
 * An `Export…ServiceResponse`. Full success leaves `partial_success` unset, as the specification
 * demands: 0 bytes, or `{}`; a set but empty one makes the JS exporter warn on every batch.
 */
export function encodeExportResponse(encoding: Encoding, result: ExportResult): Buffer {
  const { rejectedItems, message } = result;
  const isFull = rejectedItems === 0 && message === '';
  if (encoding === 'json') {
    const partialSuccess = { rejectedSpans: String(rejectedItems), errorMessage: message };
    return Buffer.from(JSON.stringify(isFull ? {} : { partialSuccess }));
  }
  if (isFull) return Buffer.alloc(0);
  const writer = protobuf.Writer.create();
  if (rejectedItems > 0) writer.uint32(rejectedTag).int64(rejectedItems);
  if (message !== '') writer.uint32(messageTag).string(message);
  return delimitedField(partialTag, Buffer.from(writer.finish()));
}

/**
 * The downstream's answer to a 2xx. What cannot be read counts as full success. A count beyond the
 * safe integers comes back as the largest of them, a text with at most 500 characters.
 */
export function decodeExportResponse(encoding: Encoding, body: Buffer): ExportResult {
  try {
    const { rejectedItems, message } = encoding === 'json' ? decodeJson(body) : decodeProto(body);
    return {
      rejectedItems: Math.min(rejectedItems, Number.MAX_SAFE_INTEGER),
      message: bounded(message),
    };
  } catch {
    return fullSuccess;
  }
}

function bounded(message: string): string {
  if (message.length <= messageCharsMax) return message;
  // The cut may go through a surrogate pair.
  return `${message.slice(0, messageCharsMax - 1).toWellFormed()}…`;
}

function decodeJson(body: Buffer): ExportResult {
  const parsed = JSON.parse(body.toString('utf8'));
  const partial = parsed?.partialSuccess ?? parsed?.partial_success;
  const rejected = Number(partial?.rejectedSpans ?? partial?.rejected_spans ?? 0);
  const message = partial?.errorMessage ?? partial?.error_message;
  return {
    rejectedItems: Number.isInteger(rejected) && rejected > 0 ? rejected : 0,
    message: typeof message === 'string' ? message : '',
  };
}

function decodeProto(body: Buffer): ExportResult {
  let rejectedItems = 0;
  let message = '';
  eachField(body, { start: 0, end: body.length }, (tag, partial) => {
    if (tag !== partialTag) return;
    eachField(body, partial, (memberTag, member) => {
      if (memberTag === rejectedTag) rejectedItems = readCount(body, member);
      else if (memberTag === messageTag) message = body.toString('utf8', member.start, member.end);
    });
  });
  return { rejectedItems, message };
}

function readCount(body: Buffer, { start, end }: Range): number {
  const value = BigInt.asIntN(64, new WireReader(body, start).varint64(end));
  return value > 0n ? Number(value) : 0;
}
