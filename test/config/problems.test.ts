import { describe, expect, test } from 'vitest';
import { ConfigError, formatProblems, loadConfig } from '../../src/config/config.ts';
import { load, problemsOf } from './configs.ts';

describe('unknown names', () => {
  test.each([
    ['receivers.otlp.grpc.endpoint', 'receivers.otlp.protocols.grpc.endpoint'],
    ['limits.inflight_mib', 'limits.in_flight_mib'],
    ['limit.in_flight_mib', 'limits.in_flight_mib'],
    ['receivers.otlp.protocols.http.max_request_body_size', 'http.max_request_body_size_mib'],
    ['downstream.retry_on_failure.multiplier', 'delivery.retry_on_failure.multiplier'],
    ['telemetry.log.level', 'telemetry.logs.level'],
    ['limits.on_scope_conflict', 'routing.on_scope_conflict'],
    ['exporters.otlp.endpoint', 'set downstream'],
  ])('%s: %s', (name, meant) => {
    const [problem, ...others] = problemsOf({ sets: [`${name}=1`] });
    expect(others).toEqual([]);
    expect(problem).toMatchObject({ path: name, expected: 'the name of a setting' });
    expect(problem?.hint).toContain(meant);
  });

  test('a name that is like no other gets no suggestion', () => {
    expect(problemsOf({ sets: ['xyzzy=1'] })[0]?.hint).toBeUndefined();
  });

  test('each unknown name below an unknown section is told, with its place', () => {
    const files = ['receivers:\n  otlp:\n    grpc:\n      endpoint: a:1\n      tls: {}\n'];
    expect(problemsOf({ files }).map(({ path, at }) => `${path} ${at}`)).toEqual([
      'receivers.otlp.grpc.endpoint 0.yaml:4:7',
      'receivers.otlp.grpc.tls 0.yaml:5:7',
    ]);
  });

  test('a name in capitals is found and corrected', () => {
    const [problem] = problemsOf({ files: ['Limits: { In_Flight_MiB: 5 }\n'] });
    expect(problem).toMatchObject({ path: 'Limits.In_Flight_MiB', at: '0.yaml:1:11' });
    expect(problem?.hint).toContain('limits.in_flight_mib');
  });

  test('a dotted name is explained and found in the file', () => {
    const [problem] = problemsOf({
      files: ['shutdown_timeout: 1s\ntelemetry.logs.level: debug\n'],
    });
    expect(problem).toMatchObject({ path: 'telemetry.logs.level', at: '0.yaml:2:1' });
    expect(problem?.hint).toContain('on a line of its own');
  });

  test.each(['__proto__', 'constructor', 'toString'])('%s is a name like any other', (name) => {
    for (const given of [{ files: [`${name}: { a: 1 }`] }, { sets: [`${name}.a=1`] }]) {
      expect(problemsOf(given)[0]).toMatchObject({ path: `${name}.a` });
      expect(problemsOf(given)[0]?.hint).toBeUndefined();
    }
    expect(({} as Record<string, unknown>).a).toBeUndefined();
  });
});

describe('wrong values', () => {
  test('a value of another type is told with its place, what may stand there and the cure', () => {
    const files = ['receivers:\n  otlp:\n    protocols:\n      http:\n        read_timeout: 5\n'];
    expect(problemsOf({ files })).toEqual([
      {
        path: 'receivers.otlp.protocols.http.read_timeout',
        value: 5,
        expected: 'a duration from 100ms to 1h, such as 500ms, 5s, 3m or 1h30m',
        hint: 'add the unit: 5s or 5ms',
        at: '0.yaml:5:9',
      },
    ]);
  });

  test.each([
    ['limits.in_flight_mib', '"256"'],
    ['limits.in_flight_mib', '0'],
    ['limits.in_flight_mib', '1.5'],
    ['limits.in_flight_mib', '0.5'],
    ['delivery.retry_on_failure.multiplier', '0.5'],
    ['delivery.retry_on_failure.max_elapsed_time', '0'],
    ['receivers.traces_api.enabled', 'yes'],
    ['receivers.traces_api.path', 'traces'],
    ['receivers.traces_api.path', '/a?b'],
    ['receivers.otlp.protocols.grpc.endpoint', '4317'],
    ['receivers.otlp.protocols.grpc.endpoint', '{ host: a, port: 1 }'],
    ['receivers.otlp.protocols.http.cors.allowed_origins', 'a'],
    ['receivers.otlp.protocols.grpc.tls.min_version', '1.2'],
    ['auth.mode', 'key'],
    ['auth.header', 'Authorization'],
    ['auth.header', '"x api key"'],
    ['auth.passthrough.api_key', '"a b"'],
    ['auth.passthrough.platform_id', 'abc'],
    ['auth.store.path', '""'],
    ['auth.store', 'sqlite'],
    ['routing.attribute', '""'],
    ['downstream.endpoint', 'ftp://a'],
    ['downstream.endpoint', 'http://u:p@a'],
    ['downstream.endpoint', 'http://a?b'],
    ['downstream.endpoint', 'http://a#b'],
    ['downstream.endpoint', 'http://a:99999'],
    ['downstream.endpoint', '""'],
    ['downstream.headers', '[a]'],
    ['downstream.headers', 'a'],
    ['telemetry.logs.level', 'verbose'],
    ['shutdown_timeout', '-1s'],
    ['shutdown_timeout', '[1s]'],
  ])('%s: %s is refused', (name, value) => {
    const nested = name.split('.').reduceRight((inner, part) => `{ ${part}: ${inner} }`, value);
    const problems = problemsOf({ files: [nested] });
    expect(problems.map(({ path }) => path)).toEqual([name]);
  });

  test.each(['Host', 'Content-Type', 'x-mibo-key-id', 'X-Request-Id', 'a b', 'idempotency-key'])(
    'the downstream header %s is refused',
    (header) => {
      const files = [`downstream:\n  headers:\n    "${header}": x\n`];
      const [problem] = problemsOf({ files });
      expect(problem).toMatchObject({ path: `downstream.headers.${header.toLowerCase()}` });
      expect(problem?.at).toBe('0.yaml:3:5');
    },
  );

  test('a header value cannot start a new line', () => {
    const files = ['downstream: { headers: { a: "x\\r\\nb: y" } }'];
    expect(problemsOf({ files })[0]?.path).toBe('downstream.headers.a');
  });
});

test.each(['127.0.0.1:', 'host: 4317', '[::1]', '{ host: a }'])(
  'a --set value that happens to be YAML is told as it was given: %s',
  (text) => {
    const path = 'telemetry.health.endpoint';
    expect(problemsOf({ sets: [`${path}=${text}`] })).toMatchObject([{ path, value: text }]);
  },
);

describe('all at once', () => {
  test('problems of every sort are told in one run', () => {
    const problems = problemsOf({
      files: ['limits: { in_flight_mib: x }\ndelivery: { mode: durable }\nfoo: 1\n', 'a: [\n'],
      sets: ['telemetry.health.endpoint=:4317', 'nonsense', `auth.header=\${env:NONE}`],
    });
    expect(problems.map(({ path, at }) => path || at)).toEqual([
      '1.yaml:2:1',
      '--set',
      'auth.header',
      'limits.in_flight_mib',
      'foo',
      'delivery.mode',
      'telemetry.health.endpoint',
    ]);
  });

  test('a check between two settings says nothing new where one of them is wrong by itself', () => {
    const sets = [
      'limits.in_flight_mib=0',
      'receivers.otlp.protocols.grpc.max_recv_msg_size_mib=300',
    ];
    expect(problemsOf({ sets }).map(({ path }) => path)).toEqual(['limits.in_flight_mib']);
  });
});

test('a place is the one that counted: the last file, or --set after that', () => {
  const text = 'limits: { in_flight_mib: x }\n';
  const at = (given: Parameters<typeof problemsOf>[0]) => problemsOf(given)[0]?.at;
  expect(at({ files: [text, `\n${text}`, 'signals:\n'] })).toBe('1.yaml:2:11');
  expect(at({ files: [text], sets: ['limits.in_flight_mib=y'] })).toBe(
    '--set limits.in_flight_mib',
  );
});

describe('files', () => {
  test('a file that does not exist is named', () => {
    const given = { files: ['none.yaml'], sets: [], env: {}, cwd: '/' };
    expect(() => loadConfig(given)).toThrow(/none\.yaml\n.*\n.*does not exist/);
  });

  test('a directory is no file', () => {
    const given = { files: ['/'], sets: [], env: {} };
    expect(() => loadConfig(given)).toThrow(ConfigError);
  });

  test.each([
    ['a: 1\nlimits: {\n', '0.yaml:3:1'],
    ['limits:\n\tin_flight_mib: 1\n', '0.yaml:2:1'],
    ['limits: *none\n', '0.yaml'],
    ['limits: &a [*a]\n', '0.yaml'],
    ['limits: &a { b: [{ c: *a }] }\n', '0.yaml'],
    ['limits: !tag 1\n', '0.yaml:1:9'],
    ['a: 1\n---\nb: 2\n', '0.yaml:2:1'],
    ['- a\n', '0.yaml'],
    ['text\n', '0.yaml'],
  ])('%j is told once, with its place', (text, at) => {
    expect(problemsOf({ files: [text] }).map((problem) => problem.at)).toEqual([at]);
  });

  test('--set cannot hold itself either', () => {
    for (const set of ['limits=&a [*a]', 'x.y=&a { b: *a }', 'downstream.headers=&a { b: *a }']) {
      const name = set.split('=', 1)[0];
      expect(problemsOf({ sets: [set] })).toMatchObject([{ path: name, at: `--set ${name}` }]);
    }
  });

  test('one anchor may be used in many places', () => {
    const files = ['downstream: { headers: { a: &a x, b: *a } }\nsignals: &s {}\nlimits: *s\n'];
    expect(load({ files }).downstream.headers).toEqual({ a: 'x', b: 'x' });
  });

  test('a doubled name is told with its place', () => {
    const files = ['limits:\n  in_flight_mib: 1\n  in_flight_mib: 2\n'];
    expect(problemsOf({ files })).toMatchObject([{ at: '0.yaml:3:3', expected: 'each name once' }]);
  });

  test('an unquoted reference within braces gets its cure', () => {
    const [problem] = problemsOf({ files: [`limits: { in_flight_mib: \${env:X:-1} }\n`] });
    expect(problem?.hint).toContain('in quotes');
  });

  test('anchors and aliases work', () => {
    const files = ['limits: { admission_wait: &t 2s }\nshutdown_timeout: *t\n'];
    expect(load({ files }).shutdown_timeout).toBe(2_000);
  });
});

describe('secrets', () => {
  const secret = 'Sup3rSecret';
  const key = 'mibo_Sup3rSecretSup3rSecret';
  /** As other programs write where a server is, and URLs in which the password breaks out. */
  const otherForms = [
    `host=db user=app password=${secret} dbname=x`,
    `Server=db;User Id=a;Password=${secret}`,
    `jdbc:postgresql://db:1/x;password=${secret}`,
    `c.redis.cache.windows.net:6380,password=${secret},ssl=True`,
    `postgres://app:/${secret}@127.0.0.1:1/db`,
    `postgres://app:1/${secret}@127.0.0.1:1/db`,
    `postgres://app:/${secret}`,
    `postgres://app:1?${secret}@h/db`,
    `postgres://app:1#${secret}@h/db`,
    `redis://h:1,${secret}`,
    `redis://h:1/0;password=${secret}`,
    `redis://h?password=a,${secret}`,
    `redis://h/a=${secret}`,
  ];

  test.each([
    `auth: { passthrough: { api_key: "${secret} x" } }`,
    `auth: { passthrough: { api_key: [${secret}] } }`,
    `auth: { passthrough: { apikey: ${secret} } }`,
    `auth: { passthrough: ${secret} }`,
    `auth: { header: "${key} " }`,
    `auth: { mode: [{ a: ${key} }] }`,
    `auth: { store: { kind: postgres, url: "pg://h/d?user=u&password=${secret}" } }`,
    `auth: { store: { kind: postgres, url: "postgres://u:${secret}@h:x/d" } }`,
    `auth: { store: { url: "postgres://u:${secret}@h/d" } }`,
    `admin: { token: "${secret} " }`,
    `admin: { tokn: ${secret} }`,
    `admin: { hush: ${secret} }`,
    `auth: { passthrough: { apiKee: [${secret}] } }`,
    ...otherForms.map((url) => `auth: { store: { kind: postgres, url: "${url}" } }`),
    ...otherForms.map(
      (url) => `auth: { store: { kind: postgres, url: postgres://h/d }, redis: { url: "${url}" } }`,
    ),
    ...otherForms.map((endpoint) => `downstream: { endpoint: "${endpoint}" }`),
    `downstream: { endpoint: "http://u:${secret}@h" }`,
    `downstream: { endpoint: "http://h?token=${secret}" }`,
    `downstream: { headers: { host: ${secret} } }`,
    `downstream: { headers: ${secret} }`,
    `downstream: { headers: [${secret}] }`,
    `nonsense: ${key}`,
    `nonsense: { a: [${key}] }`,
    `api_key: ${secret}`,
    `a: b: ${secret}`,
    `a: "${secret}`,
    `a: 1\n${secret}\n`,
    `a: [1\nb: ${secret}\n`,
    `a: !${secret} 1`,
    `a: *${secret}`,
    `downstream: { endpoint: "user:${secret}@host:4318" }`,
    `downstream: { endpoint: "https:user:${secret}@host" }`,
    `downstream: { endpoint: "user:${secret}//@host" }`,
    `downstream: { endpoint: "http://h#${secret}" }`,
    `downstream: { endpoint: "h:4318/v1?token=${secret}" }`,
    `downstream: { endpoint: "user:1/${secret}@h" }`,
    `downstream: { endpoint: ["user:${secret}@h"] }`,
    ...['redis://u:', ':', ''].map((start) =>
      [
        'auth: { store: { kind: postgres, url: postgres://h/d },',
        `redis: { url: "${start}${secret}@h 6379" } }`,
      ].join(' '),
    ),
    `receivers: { otlp: { protocols: { grpc: { endpoint: "u:${secret}@h:1" } } } }`,
    `downstream: { place: "u:${secret}@h:1" }`,
    `downstream: { pwd: ${secret} }`,
    `downstream: { passphrase: ${secret} }`,
    `downstream: { bearer: ${secret} }`,
    `downstream: { credentials: [${secret}] }`,
    `downstream: { cookie: ${secret} }`,
    `downstream: { private: ${secret} }`,
    `auth: { passthrough: { api_key: "pre\${${secret}-x}" } }`,
    `auth: { passthrough: { api_key: "\${${secret}}" } }`,
    `auth: { passthrough: "\${${secret}}" }`,
    `downstream: { pwd: "\${${secret}}" }`,
    `downstream: { headers: { authorization: "Bearer \${${secret}}" } }`,
    `downstream: { headers: ["\${${secret}}"] }`,
    `admin: { token: "\${env:A:-\${${secret}}" }`,
  ])('no message shows the secret of %s', (text) => {
    const problems = problemsOf({ files: [text] });
    expect(problems).not.toEqual([]);
    expect(formatProblems(problems) + JSON.stringify(problems)).not.toContain(secret);
  });

  test.each([secret, `.${secret}`, `a..${secret}=1`, `=${secret}`])(
    'a --set without a name is not repeated: %s',
    (argument) => {
      const problems = problemsOf({ sets: [argument] });
      expect(problems).toMatchObject([
        { at: '--set', expected: expect.stringContaining('NAME=VALUE') },
      ]);
      expect(formatProblems(problems) + JSON.stringify(problems)).not.toContain(secret);
    },
  );

  test('a secret that holds a reference in the wrong shape still gets a cure', () => {
    const files = [`admin: { token: "a\${b}" }\nlimits: { in_flight_mib: "\${MIB}" }`];
    expect(problemsOf({ files })).toMatchObject([
      { path: 'limits.in_flight_mib', value: `\${MIB}`, hint: expect.stringContaining('env:MIB') },
      { path: 'admin.token', value: undefined, hint: 'write $$ where a $ is meant' },
    ]);
  });

  test('what is no secret in a URL is shown', () => {
    const shownOf = (endpoint: string) =>
      problemsOf({ sets: [`downstream.endpoint=${endpoint}`] })[0]?.value;
    expect(shownOf('https://u:p@host:1/path?q')).toBe('https://****@host:1/path?****');
    expect(shownOf('ftp://u:p@[::1]:1/a.b')).toBe('ftp://****@[::1]:1/a.b');
    expect(shownOf('u:p@host:1')).toBe('****');
  });

  test('a secret from a variable is masked too', () => {
    const env = { MIBO_API_KEY: `${secret} ` };
    expect(formatProblems(problemsOf({ env }))).not.toContain(secret);
  });
});

test('a problem for people is a block of name, place, value, expectation and cure', () => {
  const files = ['limits:\n  admission_wait: 5\n'];
  expect(formatProblems(problemsOf({ files }))).toBe(
    [
      'limits.admission_wait (0.yaml:2:3)',
      '  value     5',
      '  expected  a duration from 0s to 60s, such as 500ms, 5s, 3m or 1h30m',
      '  fix       add the unit: 5s or 5ms',
    ].join('\n'),
  );
});
