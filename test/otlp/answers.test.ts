import { describe, expect, test } from 'vitest';
import {
  decodeExportResponse,
  decodeHealthRequest,
  encodeExportResponse,
  encodeHealthStatus,
  encodeRetryDetails,
  encodeStatus,
} from '../../src/otlp/otlp.ts';
import { typeNamed } from './reference.ts';

function decode(type: string, bytes: Buffer): Record<string, unknown> {
  const known = typeNamed(type);
  return known.toObject(known.decode(bytes), { longs: Number, enums: String });
}

const responseType = 'opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse';
const full = { rejectedItems: 0, message: '' };
const warning = { rejectedItems: 0, message: 'the agent was replaced' };
const partial = { rejectedItems: 300, message: 'name an agent: ü' };

describe('the answer to an export', () => {
  test('leaves partial_success unset on full success', () => {
    expect(encodeExportResponse('proto', full)).toHaveLength(0);
    expect(encodeExportResponse('json', full).toString()).toBe('{}');
  });

  test('says how much was rejected, and why', () => {
    expect(decode(responseType, encodeExportResponse('proto', partial))).toEqual({
      partialSuccess: { rejectedSpans: 300, errorMessage: 'name an agent: ü' },
    });
    expect(JSON.parse(encodeExportResponse('json', partial).toString())).toEqual({
      partialSuccess: { rejectedSpans: '300', errorMessage: 'name an agent: ü' },
    });
  });

  test('carries a warning with nothing rejected', () => {
    expect(decode(responseType, encodeExportResponse('proto', warning))).toEqual({
      partialSuccess: { errorMessage: 'the agent was replaced' },
    });
  });

  test.each(['proto', 'json'] as const)(
    'is understood when it comes from downstream: %s',
    (encoding) => {
      for (const result of [full, warning, partial]) {
        expect(decodeExportResponse(encoding, encodeExportResponse(encoding, result))).toEqual(
          result,
        );
      }
    },
  );

  test.each([
    ['json', '{"partial_success":{"rejected_spans":5,"error_message":"x"}}', 5],
    ['json', '{"partialSuccess":{}}', 0],
    ['json', '{"partialSuccess":{"rejectedSpans":-1}}', 0],
    ['json', '{"partialSuccess":{"rejectedSpans":"many","errorMessage":7}}', 0],
    ['json', '[null]', 0],
    ['json', '<html>', 0],
    ['json', '', 0],
    ['proto', '\n\x00', 0],
    ['proto', '\n\x02\x08\x05', 5],
    ['proto', '\n\x0b\x08\x7f', 0],
    ['proto', '<html>', 0],
    ['proto', 'OK', 0],
  ] as const)('counts as success where it cannot be read: %s %j', (encoding, body, rejected) => {
    const { rejectedItems } = decodeExportResponse(encoding, Buffer.from(body));
    expect(rejectedItems).toBe(rejected);
  });
});

describe('what comes from downstream is kept within bounds:', () => {
  const encodings = ['proto', 'json'] as const;

  test.each([
    ['json', '{"partialSuccess":{"rejectedSpans":"4611686018427387904"}}'],
    ['json', '{"partialSuccess":{"rejectedSpans":1e300}}'],
    ['proto', '\n\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x3f'],
  ] as const)('more rejected spans than there can be: %s %j', (encoding, body) => {
    const { rejectedItems } = decodeExportResponse(encoding, Buffer.from(body, 'latin1'));
    expect(rejectedItems).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each(encodings)('a text of any length: %s', (encoding) => {
    const told = (message: string) => {
      const body = encodeExportResponse(encoding, { rejectedItems: 1, message });
      return decodeExportResponse(encoding, body).message;
    };
    expect(told('ü'.repeat(500))).toBe('ü'.repeat(500));
    expect(told('ü'.repeat(501))).toBe(`${'ü'.repeat(499)}…`);
    expect(told('🙂'.repeat(10_000)).isWellFormed()).toBe(true);
  });
});

describe('an error', () => {
  const status = { code: 3, message: 'send it as OTLP [VALIDATION_ERROR]' };

  test('is a google.rpc.Status in the encoding of the request', () => {
    expect(decode('google.rpc.Status', encodeStatus('proto', status))).toEqual(status);
    expect(JSON.parse(encodeStatus('json', status).toString())).toEqual(status);
  });

  test.each([
    [1000, { seconds: 1 }],
    [1500, { seconds: 1, nanos: 500_000_000 }],
    [20, { nanos: 20_000_000 }],
  ])('carries when to retry, for Go and for Python: %d ms', (retryAfterMs, retryDelay) => {
    const details = encodeRetryDetails({ code: 14, message: 'full' }, retryAfterMs);
    expect(decode('google.rpc.RetryInfo', details.retryInfo)).toEqual({ retryDelay });
    expect(decode('google.rpc.Status', details.status)).toEqual({
      code: 14,
      message: 'full',
      details: [{ type_url: 'type.googleapis.com/google.rpc.RetryInfo', value: details.retryInfo }],
    });
  });
});

describe('the health service', () => {
  test.each(['SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const)('answers %s', (status) => {
    const answer = decode('grpc.health.v1.HealthCheckResponse', encodeHealthStatus(status));
    expect(answer).toEqual({ status });
  });

  test('reads which service is asked for', () => {
    const type = typeNamed('grpc.health.v1.HealthCheckRequest');
    const encoded = type.encode(type.create({ service: 'a.b.C' })).finish();
    expect(decodeHealthRequest(Buffer.from(encoded))).toBe('a.b.C');
    expect(decodeHealthRequest(Buffer.alloc(0))).toBe('');
  });

  test('refuses what is no request', () => {
    expect(() => decodeHealthRequest(Buffer.from([0x0a, 0x05]))).toThrowError(
      expect.objectContaining({ kind: 'malformed' }),
    );
  });
});
