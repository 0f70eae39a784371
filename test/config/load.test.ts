import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultConfig, findConfigFiles, loadConfig } from '../../src/config/config.ts';
import { load, problemsOf } from './configs.ts';

describe('defaults', () => {
  test('without a file every setting has its default, read into units', () => {
    const config = defaultConfig({});
    expect(config.receivers.otlp.protocols.grpc.endpoint).toEqual({ host: '0.0.0.0', port: 4317 });
    expect(config.receivers.otlp.protocols.grpc.keepalive.max_connection_age).toBe(180_000);
    expect(config.limits).toMatchObject({ in_flight_mib: 256, request_deadline: 9_000 });
    expect(config.delivery.mode).toBe('sync');
    expect(config.downstream.endpoint).toBe('http://127.0.0.1:4319');
    expect(config.admin.endpoint).toEqual({ host: '127.0.0.1', port: 8080 });
  });

  test('the variables that defaults name are honoured without a file', () => {
    const env = { MIBO_API_KEY: 'mibo_abc', MIBO_DOWNSTREAM_ENDPOINT: 'https://example.com/' };
    const config = defaultConfig(env);
    expect(config.auth.passthrough.api_key).toBe('mibo_abc');
    expect(config.downstream.endpoint).toBe('https://example.com');
  });
});

describe('merging', () => {
  test('the later file wins setting by setting, and --set wins over files', () => {
    const config = load({
      files: [
        'limits: { in_flight_mib: 100, admission_wait: 2s }\nshutdown_timeout: 1s\n',
        'limits: { admission_wait: 3s }\n',
      ],
      sets: ['shutdown_timeout=5s', 'limits.request_deadline=8s', 'shutdown_timeout=6s'],
    });
    expect(config.limits).toMatchObject({
      in_flight_mib: 100,
      admission_wait: 3_000,
      request_deadline: 8_000,
    });
    expect(config.shutdown_timeout).toBe(6_000);
  });

  test('headers of two files are joined', () => {
    const files = ['downstream: { headers: { A: x, b: x } }', 'downstream: { headers: { b: y } }'];
    expect(load({ files }).downstream.headers).toEqual({ a: 'x', b: 'y' });
  });

  test('an empty section or value keeps what was there, and an empty file says nothing', () => {
    const files = ['limits: { in_flight_mib: 100 }', 'limits:\nrouting:\n  header:\n', '', '# -\n'];
    expect(load({ files }).limits.in_flight_mib).toBe(100);
  });

  test('--set takes text that is not YAML, and text that looks like a number', () => {
    const { telemetry, auth, downstream } = load({
      sets: [
        'telemetry.health.endpoint=[::1]:13133',
        'auth.passthrough.api_key=0123',
        'downstream.headers={a: b}',
        'downstream.headers.authorization=Bearer x=y',
      ],
    });
    expect(telemetry.health.endpoint).toEqual({ host: '::1', port: 13_133 });
    expect(auth.passthrough.api_key).toBe('0123');
    expect(downstream.headers).toEqual({ a: 'b', authorization: 'Bearer x=y' });
  });
});

describe('environment', () => {
  const file = (value: string) => [`limits: { in_flight_mib: "${value}" }`];

  test('a number in a variable or a default is a number', () => {
    const env = { MIB: '128' };
    expect(load({ files: file(`\${env:MIB}`), env }).limits.in_flight_mib).toBe(128);
    expect(load({ files: file(`\${env:NONE:-99}`) }).limits.in_flight_mib).toBe(99);
    expect(load({ sets: [`limits.in_flight_mib=\${env:MIB}`], env }).limits.in_flight_mib).toBe(
      128,
    );
  });

  test('a text setting takes a variable letter by letter', () => {
    const files = [`auth: { passthrough: { api_key: "\${env:KEY}" } }`];
    const key = (value: string) => load({ files, env: { KEY: value } }).auth.passthrough.api_key;
    expect(key('0123')).toBe('0123');
    expect(key('true')).toBe('true');
    expect(key('')).toBe('');
    expect(key(`a$$b\${env:KEY}`)).toBe(`a$$b\${env:KEY}`);
  });

  test('references stand within text, and $$ is a $', () => {
    const files = [`downstream: { headers: { a: "Bearer \${env:T} $$x $y", b: "$\${env:T}" } }`];
    expect(load({ files, env: { T: 't' } }).downstream.headers).toEqual({
      a: 'Bearer t $x $y',
      b: `\${env:T}`,
    });
  });

  test('the default counts where the variable is not set, not where it is empty', () => {
    const files = [`routing: { attribute: "\${env:A:-x:-y}" }`];
    expect(load({ files }).routing.attribute).toBe('x:-y');
    expect(problemsOf({ files, env: { A: '' } })[0]?.path).toBe('routing.attribute');
  });

  test('a variable that is not set is named', () => {
    const [problem, ...others] = problemsOf({ files: file(`\${env:NOT_SET}`) });
    expect(others).toEqual([]);
    expect(problem).toMatchObject({ path: 'limits.in_flight_mib', at: '0.yaml:1:11' });
    expect(problem?.expected).toContain('NOT_SET');
  });

  test('a variable behind a setting that a later file overrides need not be set', () => {
    const files = [...file(`\${env:NOT_SET}`), 'limits: { in_flight_mib: 64 }'];
    expect(load({ files }).limits.in_flight_mib).toBe(64);
  });

  test.each([`\${MIB}`, `\${}`, `\${env:}`, `\${env:A-B}`, `\${file:x}`, `\${env:A:-\${env:B}}`])(
    '%s is refused and not taken as text',
    (value) => {
      const [problem] = problemsOf({ files: [`routing: { attribute: "${value}" }`] });
      expect(problem?.expected).toContain(`\${env:NAME:-default}`);
    },
  );

  test('a wrong value from a variable of the defaults is traced to the variable', () => {
    const [problem] = problemsOf({ env: { MIBO_DOWNSTREAM_ENDPOINT: 'example.com:80' } });
    expect(problem).toMatchObject({
      path: 'downstream.endpoint',
      at: '$MIBO_DOWNSTREAM_ENDPOINT',
      hint: 'write http://example.com:80',
    });
  });
});

describe('finding files', () => {
  const cwd = mkdtempSync(join(tmpdir(), 'mibo-config-'));
  const env = { MIBO_CONFIG: '/etc/mibo.yaml' };

  test('given files are taken alone', () => {
    expect(findConfigFiles(['a.yaml'], { env, cwd })).toEqual(['a.yaml']);
  });

  test('else config/gateway.yaml where it exists, then $MIBO_CONFIG', () => {
    expect(findConfigFiles([], { env: {}, cwd })).toEqual([]);
    expect(findConfigFiles([], { env, cwd })).toEqual(['/etc/mibo.yaml']);
    mkdirSync(join(cwd, 'config'));
    writeFileSync(join(cwd, 'config/gateway.yaml'), 'shutdown_timeout: 7s');
    const files = findConfigFiles([], { env: {}, cwd });
    expect(loadConfig({ files, sets: [], env: {}, cwd }).shutdown_timeout).toBe(7_000);
    expect(findConfigFiles([], { env, cwd })).toEqual(['config/gateway.yaml', '/etc/mibo.yaml']);
  });
});
