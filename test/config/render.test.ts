import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { renderConfig } from '../../src/config/config.ts';
import { load } from './configs.ts';

describe('the effective configuration', () => {
  test('loads as it was', () => {
    const config = load({
      files: ['receivers: { otlp: { protocols: { grpc: { endpoint: "[::1]:4317" } } } }'],
      sets: ['shutdown_timeout=90500ms', 'routing.attribute=a$$$$b', 'routing.header=yes'],
      env: { MIBO_PLATFORM_ID: '6F9619FF-8B86-D011-B42D-00CF4FC964FF' },
    });
    expect(load({ files: [renderConfig(config)] })).toEqual(config);
  });

  test('loads as it was, whatever text a setting holds', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[^\p{Cc}]+$/u), (path) => {
        const config = load({ sets: [`auth.store.path=\${env:P}`], env: { P: path } });
        expect(config.auth.store.path).toBe(path);
        expect(load({ files: [renderConfig(config)] })).toEqual(config);
      }),
      { numRuns: 50 },
    );
  });

  test('shows no secret and names what is there', () => {
    const secret = 'Sup3rSecret';
    const config = load({
      sets: [`auth.passthrough.api_key=${secret}`, `downstream.headers.authorization=${secret}`],
    });
    const rendered = renderConfig(config);
    expect(rendered).not.toContain(secret);
    expect(load({ files: [rendered] })).toMatchObject({
      auth: { passthrough: { api_key: '****' } },
      downstream: { headers: { authorization: '****' } },
    });
  });
});
