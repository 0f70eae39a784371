/** deploy/kubernetes/: what stands there fits the image and the configuration. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type Config, findConfigFiles, loadConfig } from '../../src/config/config.ts';

const root = resolve(import.meta.dirname, '../..');

type Container = {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { name: string; value?: string; valueFrom?: unknown }[];
  readonly ports?: readonly { name: string; containerPort: number }[];
};

type Resource = {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds?: number;
        readonly initContainers?: readonly Container[];
        readonly containers: readonly Container[];
      };
    };
  };
};

function readResources(file: string): Resource[] {
  const text = readFileSync(join(root, 'deploy/kubernetes', file), 'utf8');
  return parseAllDocuments(text).map((document) => document.toJS() as Resource);
}

/** What the examples say is to be put into the secrets. */
const secrets: Readonly<Record<string, string>> = {
  MIBO_API_KEY: 'mibo_from_a_secret_0000',
  DATABASE_URL: 'postgres://mibo:pw@postgres.example.svc:5432/mibo?sslmode=verify-full',
  REDIS_URL: 'rediss://:pw@redis.example.svc:6379',
};

/** What the gateway in this container starts with; `mount` holds the files of the ConfigMap. */
function configOf({ args, env = [] }: Container, mount: string): Config {
  expect(args, 'the image starts it, and MIBO_CONFIG says with what').toBeUndefined();
  const values = env.map(({ name, value }) => [name, value ?? secrets[name]]);
  const variables: NodeJS.ProcessEnv = Object.fromEntries(values);
  const path = variables.MIBO_CONFIG?.replace(/^\/app\//, `${root}/`).replace('/etc/mibo', mount);
  const files = findConfigFiles([], { env: { MIBO_CONFIG: path }, cwd: tmpdir() });
  return loadConfig({ files, sets: [], env: variables });
}

function portsOf(config: Config): Record<string, number> {
  const { grpc, http } = config.receivers.otlp.protocols;
  const { health, metrics } = config.telemetry;
  return {
    'otlp-grpc': grpc.endpoint.port,
    'otlp-http': http.endpoint.port,
    metrics: metrics.endpoint.port,
    health: health.endpoint.port,
  };
}

function expectPortsOf(container: Container, config: Config): void {
  for (const { name, containerPort } of container.ports ?? []) {
    expect(portsOf(config)[name], name).toBe(containerPort);
  }
}

test('central.yaml: the configuration is valid, fits the pod, and shares its keys', () => {
  const resources = readResources('central.yaml');
  const mount = mkdtempSync(join(tmpdir(), 'mibo-kubernetes-'));
  const data = resources.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
  for (const [name, text] of Object.entries(data)) writeFileSync(join(mount, name), text);
  const pod = resources.find(({ kind }) => kind === 'Deployment')?.spec.template.spec;
  const container = pod?.containers[0] as Container;
  const config = configOf(container, mount);
  expectPortsOf(container, config);
  expect(config.auth.store).toMatchObject({ kind: 'postgres', url: secrets.DATABASE_URL });
  expect(config.auth.redis.url).toBe(secrets.REDIS_URL);
  // Whoever reaches the pod's address must not reach the admin API without a token.
  expect(config.admin.endpoint?.host).toBe('127.0.0.1');
  expect(pod?.terminationGracePeriodSeconds).toBeGreaterThan(config.shutdown_timeout / 1000);
  rmSync(mount, { recursive: true });
});

test('sidecar.yaml: the application finds the sidecar, which has all that it needs', () => {
  const [deployment] = readResources('sidecar.yaml');
  const pod = deployment?.spec.template.spec;
  const sidecar = pod?.initContainers?.[0] as Container;
  const config = configOf(sidecar, '');
  expectPortsOf(sidecar, config);
  expect(config.auth.passthrough.api_key).not.toBe('');
  const { host, port } = config.receivers.otlp.protocols.http.endpoint;
  const app = pod?.containers[0]?.env?.find(({ name }) => name === 'OTEL_EXPORTER_OTLP_ENDPOINT');
  expect(app?.value).toBe(`http://${host}:${port}`);
  // Kubernetes waits 30 s where a pod does not say otherwise.
  const graceSeconds = pod?.terminationGracePeriodSeconds ?? 30;
  expect(graceSeconds).toBeGreaterThan(config.shutdown_timeout / 1000);
});

test('both use the image that the other one uses', () => {
  const images = ['central.yaml', 'sidecar.yaml']
    .flatMap(readResources)
    .flatMap(({ spec }) => spec?.template?.spec ?? [])
    .flatMap(({ initContainers = [], containers }) => [...initContainers, ...containers])
    .map(({ image }) => image)
    .filter((image) => image.startsWith('mibo-gateway'));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(images).toEqual([`mibo-gateway:${version}`, `mibo-gateway:${version}`]);
});
