import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { load, problemsOf } from './configs.ts';

const postgres = ['auth.store.kind=postgres', 'auth.store.url=postgres://u:p@db:5432/mibo'];
const pathsOf = (given: Parameters<typeof problemsOf>[0]) =>
  problemsOf(given).map(({ path }) => path);

describe('the store', () => {
  test('postgres takes its URL from DATABASE_URL', () => {
    const env = { DATABASE_URL: 'postgresql://db/mibo' };
    const { url } = load({ sets: ['auth.store.kind=postgres'], env }).auth.store;
    expect(url).toBe(env.DATABASE_URL);
  });

  test('postgres without a URL is refused, and the variable is named', () => {
    const [problem] = problemsOf({ sets: ['auth.store.kind=postgres'] });
    expect(problem).toMatchObject({ path: 'auth.store.url', value: '' });
    expect(problem?.hint).toContain('DATABASE_URL');
  });

  test.each([
    ...['mysql://h/d', 'h:5432/d', 'postgres://', 'postgres://h:99999/d', 'postgres://h/d d'],
    ...['host=db dbname=d', 'postgres://u:/p@h/d', 'postgres://h\n/d'],
  ])('%j is no URL of PostgreSQL', (url) => {
    const env = { DATABASE_URL: url };
    expect(pathsOf({ sets: ['auth.store.kind=postgres'], env })).toEqual(['auth.store.url']);
  });

  test('DATABASE_URL of another program means nothing to sqlite', () => {
    const env = { DATABASE_URL: 'mysql://root@localhost/shop' };
    expect(load({ env }).auth.store.kind).toBe('sqlite');
  });

  test('a URL with a line break at its end, as mounted secrets have, is taken without', () => {
    const env = { DATABASE_URL: 'postgres://db/mibo\n', REDIS_URL: ' redis://cache\r\n' };
    const { auth } = load({ sets: ['auth.store.kind=postgres'], env });
    expect([auth.store.url, auth.redis.url]).toEqual(['postgres://db/mibo', 'redis://cache']);
  });

  test.each(['a\nb', '\n', '\0'])('variables of other programs may hold %j', (text) => {
    const env = { DATABASE_URL: text, REDIS_URL: text, MIBO_DOWNSTREAM_ENDPOINT: 'http://next' };
    load({ env });
    load({ env, files: [readFileSync('config/sidecar.yaml', 'utf8')] });
  });

  test('a URL that is written beside kind sqlite is refused: keys would end up elsewhere', () => {
    const sets = ['auth.store.url=postgres://db/mibo'];
    expect(problemsOf({ sets })).toMatchObject([
      { path: 'auth.store.kind', hint: expect.stringContaining('postgres') },
    ]);
    expect(pathsOf({ sets: [...sets, 'auth.store.kind=postgre'] })).toEqual(['auth.store.kind']);
  });
});

describe('Redis', () => {
  test.each([
    '',
    'redis://cache:6379',
    'rediss://user:pass@cache:6380/2',
    'redis://a:7000,redis://b:7000',
    'redis+sentinel://:pass@s1:26379,s2:26379/main/1',
  ])('%s is fine', (url) => {
    load({ sets: [...postgres, `auth.redis.url=${url}`] });
  });

  test.each(['cache:6379', 'http://cache', 'redis://', 'redis+sentinel://s1:26379', 'redis://a,b'])(
    '%s is refused where Redis is used',
    (url) => {
      const redis = `auth.redis.url=${url}`;
      expect(pathsOf({ sets: [...postgres, redis] })).toEqual(['auth.redis.url']);
      const limited = ['limits.per_key.spans_per_second=10', redis];
      expect(pathsOf({ sets: limited })).toEqual(['auth.redis.url']);
    },
  );

  test('REDIS_URL of another program means nothing where Redis has nothing to do', () => {
    const env = { REDIS_URL: 'unix:///run/redis.sock' };
    load({ env });
    load({ env, sets: ['auth.mode=passthrough', 'limits.per_key.spans_per_second=10'] });
    expect(problemsOf({ env, sets: postgres })).toMatchObject([{ at: '$REDIS_URL' }]);
  });
});

describe('the admin API', () => {
  test.each(['127.0.0.1:8080', '127.1.2.3:8080', '[::1]:8080', 'localhost:8080', ''])(
    'needs no token at "%s"',
    (endpoint) => {
      load({ sets: [`admin.endpoint=${endpoint}`] });
    },
  );

  test.each(['0.0.0.0:8080', ':8080', '[::]:8080', '10.0.0.1:8080', 'gateway.internal:8080'])(
    'is not open to others without a token, at %s',
    (endpoint) => {
      const sets = [`admin.endpoint=${endpoint}`];
      expect(problemsOf({ sets })).toMatchObject([
        { path: 'admin.token', hint: expect.stringContaining('MIBO_ADMIN_TOKEN') },
      ]);
      load({ sets, env: { MIBO_ADMIN_TOKEN: 'Zm9v.bar-_~+/==' } });
    },
  );
});

test('trusted proxies are addresses or networks', () => {
  const set = (list: string) => [`limits.trusted_proxies=${list}`];
  const networks = ['10.0.0.0/8', '192.0.2.1', '::1', 'fd00::/8', '::ffff:10.0.0.1/104'];
  const { limits } = load({ sets: set(JSON.stringify(networks)) });
  expect(limits.trusted_proxies).toEqual(networks);
  for (const wrong of ['10.0.0.0/33', 'fd00::/129', 'proxy', '10.0.0', '1.2.3.4/', 'fe80::1%a']) {
    expect(pathsOf({ sets: set(`["${wrong}"]`) })).toEqual(['limits.trusted_proxies.0']);
  }
  expect(pathsOf({ sets: set('10.0.0.0/8') })).toEqual(['limits.trusted_proxies']);
});
