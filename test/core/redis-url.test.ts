import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRedisUrl, parseRedisUrl } from '../../src/core/redis-url.ts';

const plain = {
  kind: 'server',
  addresses: [{ host: 'cache', port: 6379 }],
  username: undefined,
  password: undefined,
  db: 0,
  tls: false,
  masterName: '',
  caFile: undefined,
  sentinelAuth: false,
};

describe('the setting that says where Redis is', () => {
  test.each([
    ['redis://cache', plain],
    ['redis://cache:7000/3', { ...plain, addresses: [{ host: 'cache', port: 7000 }], db: 3 }],
    ['redis://:p%40ss@cache/', { ...plain, password: 'p@ss' }],
    ['rediss://ada:secret@cache', { ...plain, tls: true, username: 'ada', password: 'secret' }],
    ['rediss://cache?ca_file=/etc/ca.pem', { ...plain, tls: true, caFile: '/etc/ca.pem' }],
    ['redis://[::1]:7000', { ...plain, addresses: [{ host: '::1', port: 7000 }] }],
    ['redis://cache?cluster=true', { ...plain, kind: 'cluster' }],
    [
      'rediss://a:x@n1:1,rediss://a:x@n2?ca_file=/ca.pem',
      {
        ...plain,
        kind: 'cluster',
        tls: true,
        caFile: '/ca.pem',
        username: 'a',
        password: 'x',
        addresses: [
          { host: 'n1', port: 1 },
          { host: 'n2', port: 6379 },
        ],
      },
    ],
    [
      'redis+sentinel://a:x@s1,s2:5/main/2?sentinel_auth=true',
      {
        ...plain,
        kind: 'sentinel',
        username: 'a',
        password: 'x',
        masterName: 'main',
        db: 2,
        sentinelAuth: true,
        addresses: [
          { host: 's1', port: 26_379 },
          { host: 's2', port: 5 },
        ],
      },
    ],
    [
      'rediss+sentinel://s1/main',
      {
        ...plain,
        kind: 'sentinel',
        tls: true,
        masterName: 'main',
        addresses: [{ host: 's1', port: 26_379 }],
      },
    ],
  ])('understands %s', (text, target) => {
    expect(parseRedisUrl(text)).toEqual(target);
    expect(checkRedisUrl(text)).toBeUndefined();
  });

  test.each([
    ['', 'begin with redis://'],
    ['cache:6379', 'begin with redis://'],
    ['http://:hunter2@cache', 'begin with redis://'],
    ['redis://', 'redis://host:port'],
    ['redis://:hunter2@', 'redis://host:port'],
    ['redis://:hunt/er2@cache', '%2F'],
    ['redis://:hunt,er2@cache', '%2F'],
    ['redis://:hunt#er2@cache', '%40'],
    ['redis://:hunt%er2@cache', 'mend a %'],
    ['redis://:hunter2@cache:port', 'redis://host:port'],
    ['redis://:hunter2@cache:99999', 'redis://host:port'],
    ['redis://:hunter2@cache/first', 'number of the database'],
    ['redis://:hunter2@cache?tls=1', 'no parameters but ca_file'],
    ['redis://:hunter2@cache?ca_file=/ca.pem', 'begin with rediss://'],
    ['redis://:hunter2@a,redis://:other@b', 'the same scheme, user and password'],
    ['redis://:hunter2@a,rediss://:hunter2@b', 'the same scheme, user and password'],
    ['redis://a/1,redis://b/1', 'leave the database out'],
    ['redis://a,b', 'redis://host:port'],
    ['redis+sentinel://:hunter2@s1,s2', 'name the master'],
    ['redis+sentinel://:hunter2@s1,/main', 'redis://host:port'],
    ['redis+sentinel://:hunter2@s1/main/x', 'number of the database'],
    ['redis+sentinel://:hunter2@s1/%zz', 'mend a %'],
    ['redis+sentinel://:hunter2@s1/%ff', 'mend a %'],
    ['redis://:hunter2@cache:63\n79', 'on one line'],
    ['redis://:hunter2@cache\n', 'on one line'],
  ])('says what is wrong with %s, and never shows the password', (text, words) => {
    const problem = checkRedisUrl(text);
    expect(problem).toContain(words);
    expect(problem).not.toMatch(/hunt|er2|other/);
  });
});

test('is understood or refused in words without the password, however it is written', () => {
  const scheme = fc.constantFrom('redis://', 'rediss://', 'redis+sentinel://', '');
  const piece = fc.constantFrom(
    ...['redis://', 'rediss://', 'user:hunter2@', ':hunter2%@', 'h', 's1:7'],
    ...[',', '/', '%', '%zz', '%ff', '@', ':', '?', '#', '[', '[::1]', '/main', '/0', '?ca_file='],
    ...['cluster=true', '&', ' ', '\n', '\\', ';password=hunter2', '\u{1f98a}'],
  );
  const text = fc.oneof(
    fc
      .tuple(scheme, fc.array(piece, { maxLength: 7 }))
      .map(([start, rest]) => start + rest.join('')),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(text, (written) => {
      const parsed = parseRedisUrl(written);
      expect(typeof parsed === 'string' ? parsed : '').not.toContain('hunter2');
      if (typeof parsed !== 'string') expect(parsed.addresses[0].host).not.toBe('');
    }),
    { numRuns: 5_000 },
  );
});
