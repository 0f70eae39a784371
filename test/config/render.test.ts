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

  test('shows of a URL that is not looked at what is surely no secret', () => {
    const shownOf = (url: string) => {
      const config = load({ env: { DATABASE_URL: url, REDIS_URL: url } });
      const { auth } = load({ files: [renderConfig(config)], sets: ['auth.mode=passthrough'] });
      expect(auth.redis.url).toBe(auth.store.url);
      return auth.redis.url;
    };
    expect(shownOf('')).toBe('');
    expect(shownOf('redis://h')).toBe('redis://h');
    expect(shownOf('postgres:///d')).toBe('postgres:///d');
    expect(shownOf('mysql://a:b@c@h-1.x:1/d?e=f')).toBe('mysql://****@h-1.x:1/d?****');
    expect(shownOf('redis://a:1, redis://:b@c?d=e,redis://f')).toBe(
      'redis://a:1, redis://****@c?****,redis://f',
    );
    expect(shownOf('redis://a:b,c@d')).toBe('redis://****@d');
    expect(shownOf('redis+sentinel://u:p@a,b:1/m/0')).toBe('redis+sentinel://****@a,b:1/m/0');
    for (const other of ['host=db password=x', 'h:6380,password=x', 'x', 'a://h\nb', 'a://h/b c']) {
      expect(shownOf(other)).toBe('****');
    }
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
