import { describe, expect, test } from 'vitest';
import { createKeyReader } from '../../src/auth/credentials.ts';
import type { GatewayError } from '../../src/core/errors.ts';

const key = 'mibo_0123456789abcdefXYZ';
const other = 'mibo_fedcba9876543210XYZ';
const read = createKeyReader({ apiKeyHeader: 'x-api-key' });

type Headers = { readonly apiKey?: readonly string[]; readonly authorization?: readonly string[] };

function refusal({ apiKey = [], authorization = [] }: Headers, reader = read): GatewayError {
  try {
    reader({ apiKey, authorization });
  } catch (error) {
    return error as GatewayError;
  }
  throw new Error('the key was accepted');
}

describe('a key is accepted', () => {
  const accepted: readonly [string, Headers][] = [
    ['in x-api-key', { apiKey: [key] }],
    ['as a bearer token', { authorization: [`Bearer ${key}`] }],
    ['as a bearer token in any case', { authorization: [`bearer ${key}`] }],
    ['in both, if they agree', { apiKey: [key], authorization: [`Bearer ${key}`] }],
    ['beside the login of a proxy', { apiKey: [key], authorization: ['Basic dTpw'] }],
    [
      'as a bearer token beside an empty x-api-key',
      {
        apiKey: [''],
        authorization: [`Bearer ${key}`],
      },
    ],
  ];
  test.each(accepted)('%s', (_, { apiKey = [], authorization = [] }) => {
    expect(read({ apiKey, authorization })).toBe(key);
  });
});

describe('a mistake in the headers is named', () => {
  const mistakes: readonly [string, Headers, RegExp][] = [
    ['two x-api-key headers', { apiKey: [key, key] }, /^send the header x-api-key once/],
    ['two Authorization headers', { authorization: [key, key] }, /authorization once/],
    ['keys joined by a comma', { apiKey: [`${key}, ${key}`] }, /comma/],
    ['different keys', { apiKey: [key], authorization: [`Bearer ${other}`] }, /^send one API key/],
    ['another bearer token', { apiKey: [key], authorization: ['Bearer eyJhbGci'] }, /^use a Mibo/],
    ['double quotes', { apiKey: [`"${key}"`] }, /^remove the quotes/],
    ['single quotes', { apiKey: [`'${key}'`] }, /^remove the quotes/],
    ['one quote', { apiKey: [`${key}"`] }, /^remove the quotes/],
    ['encoded quotes', { apiKey: [`%22${key}%22`] }, /^remove the quotes/],
    ['typographic quotes', { apiKey: [`\u201c${key}\u201d`] }, /^remove the quotes/],
    ['typographic quotes as they arrive', { apiKey: [`\u00e2\u0080\u009c${key}`] }, /the quotes/],
    ['a quoted bearer token', { authorization: [`"Bearer ${key}"`] }, /^remove the quotes/],
    ['a bearer token with a quoted key', { authorization: [`Bearer "${key}"`] }, /the quotes/],
    ['a leading space', { apiKey: [` ${key}`] }, /^remove the spaces before/],
    ['a trailing space', { apiKey: [`${key} `] }, /^remove the spaces before/],
    ['two spaces after Bearer', { authorization: [`Bearer  ${key}`] }, /^remove the spaces/],
    ['a space inside', { apiKey: ['mibo_0123456789 abcdef'] }, /^remove the spaces.*inside/],
    ['%20 in front', { apiKey: [`%20${key}`] }, /^remove "%20"/],
    ['%20 behind', { apiKey: [`${key}%20`] }, /^remove "%20"/],
    ['Bearer%20', { authorization: [`Bearer%20${key}`] }, /"%20" in Authorization/],
    ['percent-encoding', { apiKey: ['mibo%5f0123456789abcdef'] }, /percent-encoding/],
    ['Bearer in x-api-key', { apiKey: [`Bearer ${key}`] }, /^remove "Bearer"/],
    ['x-api-key: pasted in', { apiKey: [`x-api-key: ${key}`] }, /^remove "x-api-key="/],
    ['x-api-key= pasted in', { apiKey: [`X-API-Key=${key}`] }, /^remove "x-api-key="/],
    ['no Bearer in Authorization', { authorization: [key] }, /^write "Bearer "/],
    ['the masked key', { apiKey: ['mibo_...wxyz'] }, /^use the full API key/],
    ['a placeholder', { apiKey: ['<your key>'] }, /placeholder|spaces/],
    ['an unset variable', { apiKey: ['$MIBO_API_KEY'] }, /placeholder/],
    ['the key of another service', { apiKey: ['sk-proj-0123456789abcdef'] }, /^use a Mibo API key/],
    ['a key cut off', { apiKey: ['mibo_0123'] }, /^copy the API key again, whole/],
    ['a key far too long', { apiKey: [`mibo_${'a'.repeat(10_000)}`] }, /^copy the API key again/],
  ];
  test.each(mistakes)('%s', (_, headers, hint) => {
    const error = refusal(headers);
    expect(error.kind).toBe('invalid_api_key');
    expect(error.hint).toMatch(hint);
    expect(error.hint.length).toBeLessThanOrEqual(120);
    expect(error.hint).toMatch(/^[\x20-\x7e]+$/);
    expect(`${error.message} ${error.stack}`).not.toContain('0123456789');
  });
});

describe('without a key', () => {
  const absent: readonly [string, Headers][] = [
    ['no header', {}],
    ['an empty header', { apiKey: [''] }],
    ['a header of spaces', { apiKey: ['  '] }],
    ['the login of a proxy', { authorization: ['Basic dTpw'] }],
  ];
  test.each(absent)('%s: the hint says what to set, then the usual mistakes', (_, headers) => {
    const error = refusal(headers);
    expect(error.kind).toBe('missing_api_key');
    expect(error.hint.slice(0, 120)).toContain('OTEL_EXPORTER_OTLP_HEADERS=x-api-key=<your key>');
    for (const word of ['quotes', 'colon', '%20', 'Bearer']) expect(error.hint).toContain(word);
    expect(error.hint).not.toContain('…');
  });

  test('the hint names the header that is configured', () => {
    const reader = createKeyReader({ apiKeyHeader: 'x-key.id' });
    expect(refusal({}, reader).hint).toContain('HEADERS=x-key.id=<your key>');
    expect(refusal({ apiKey: [`x-key.id=${key}`] }, reader).hint).toMatch(/^remove "x-key.id="/);
  });
});
