/** What a request says about its body: Content-Type and Content-Encoding, leniently read. */
import type { Compression, Encoding } from '../core/delivery.ts';
import { GatewayError } from '../core/errors.ts';

/** Exactly these go out: a parameter makes Go and the Collector skip a partial success. */
export const contentTypes: Readonly<Record<Encoding, string>> = {
  proto: 'application/x-protobuf',
  json: 'application/json',
};

export const acceptedEncodings = 'gzip, deflate, zstd, identity';

/** Undefined for anything that is neither protobuf nor JSON. Parameters and case do not matter. */
export function encodingOf(contentType: string | undefined): Encoding | undefined {
  switch (mediaType(contentType)) {
    case 'application/x-protobuf':
    case 'application/protobuf':
      return 'proto';
    case 'application/json':
      return 'json';
    default:
      return undefined;
  }
}

export function mediaType(contentType: string | undefined): string | undefined {
  if (contentType === undefined) return undefined;
  const end = contentType.indexOf(';');
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

export function unsupportedMediaType(contentType: string | undefined): GatewayError {
  const hint = mediaType(contentType)?.startsWith('application/grpc')
    ? 'send gRPC over HTTP/2, or application/x-protobuf over HTTP/1.1'
    : 'set Content-Type to application/x-protobuf or application/json';
  return new GatewayError('unsupported_media_type', hint);
}

/** https://www.rfc-editor.org/rfc/rfc9110#section-8.4 ; `x-gzip` is gzip by §8.4.1.3. */
export function compressionOf(contentEncoding: string | undefined): Compression {
  if (contentEncoding === undefined) return 'identity';
  const name = contentEncoding.trim().toLowerCase();
  switch (name) {
    case '':
    case 'identity':
      return 'identity';
    case 'x-gzip':
      return 'gzip';
    case 'gzip':
    case 'deflate':
    case 'zstd':
      return name;
    default:
      throw new GatewayError(
        'unsupported_encoding',
        `compress with one of ${acceptedEncodings}, or not at all`,
      );
  }
}
