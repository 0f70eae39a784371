import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ConfigError, defaultConfig, loadConfig } from '../../src/config/config.ts';
import { configurationPage, gatewayYaml } from '../../src/config/document.ts';
import { entries } from '../../src/config/schema.ts';

const root = new URL('../../', import.meta.url).pathname;
const load = (file: string, env: NodeJS.ProcessEnv) =>
  loadConfig({ files: [file], sets: [], env, cwd: root });

describe('config/gateway.yaml', () => {
  // To write it anew: vitest run test/config -u
  test('is what the schema says', async () => {
    await expect(gatewayYaml()).toMatchFileSnapshot(`${root}config/gateway.yaml`);
  });

  test('holds every setting, and loads as exactly the defaults', () => {
    const tree: unknown = parse(readFileSync(`${root}config/gateway.yaml`, 'utf8'));
    for (const { path } of entries) expect(tree).toHaveProperty([...path]);
    const env = {
      MIBO_API_KEY: 'k',
      MIBO_ADMIN_TOKEN: 't',
      MIBO_DOWNSTREAM_ENDPOINT: 'http://h',
      DATABASE_URL: 'postgres://h/d',
      REDIS_URL: 'redis://h',
    };
    expect(load('config/gateway.yaml', {})).toEqual(defaultConfig({}));
    expect(load('config/gateway.yaml', env)).toEqual(defaultConfig(env));
  });
});

test('docs/configuration.md is what the schema says', async () => {
  await expect(configurationPage()).toMatchFileSnapshot(`${root}docs/configuration.md`);
});

describe('config/sidecar.yaml', () => {
  const endpoint = { MIBO_DOWNSTREAM_ENDPOINT: 'https://gateway.example.com' };

  test('needs three variables at most, and listens to its own pod only, but for probes', () => {
    const agent = '6f9619ff-8b86-d011-b42d-00cf4fc964ff';
    const config = load('config/sidecar.yaml', {
      ...endpoint,
      MIBO_API_KEY: 'mibo_key',
      MIBO_PLATFORM_ID: agent,
    });
    expect(config.auth).toMatchObject({
      mode: 'passthrough',
      passthrough: { api_key: 'mibo_key', platform_id: agent },
    });
    expect(config.delivery.mode).toBe('memory');
    expect(config.downstream.endpoint).toBe(endpoint.MIBO_DOWNSTREAM_ENDPOINT);
    const { grpc, http } = config.receivers.otlp.protocols;
    const hosts = [grpc, http, config.telemetry.metrics].map((each) => each.endpoint.host);
    expect(new Set(hosts)).toEqual(new Set(['127.0.0.1']));
    expect(config.telemetry.health.endpoint).toEqual({ host: '0.0.0.0', port: 13_133 });
    expect(config.admin.endpoint).toBeNull();
  });

  test('works with the application’s own key', () => {
    expect(load('config/sidecar.yaml', endpoint).auth.passthrough.api_key).toBe('');
  });

  test('asks for the next hop by the name of its variable', () => {
    expect(() => load('config/sidecar.yaml', {})).toThrow(ConfigError);
    expect(() => load('config/sidecar.yaml', {})).toThrow('MIBO_DOWNSTREAM_ENDPOINT');
  });
});
