/**
 * A downstream that takes JSON only, as Mibo's public API does, gets everything that protobuf and
 * gRPC clients send, whatever the compression on the way out.
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { agentA, agentB, fixtureKey, readFixtures } from '../harness/fixtures.ts';
import {
  createWorkspace,
  type GatewayProcess,
  type Workspace,
} from '../harness/gateway-process.ts';
import { contentOf, type ReadExport } from '../harness/read-export.ts';
import { readExportJson } from '../harness/read-export-json.ts';
import { registryOf } from '../harness/registry.ts';
import { replay } from '../harness/replay.ts';
import { type Sink, startSink } from '../harness/sink.ts';

/** All whose spans have an agent and ids; what is refused is the same for every downstream. */
const fixtures = readFixtures().filter(({ name, expected }) => {
  if (expected === undefined || expected.spans.length === 0) return false;
  if (/ids-absent|ids-short|logs/.test(name)) return false;
  return expected.resources.every(({ platformIds }) => {
    const named = String(platformIds.at(-1)?.string ?? '').toLowerCase();
    return named === agentA || named === agentB;
  });
});

let sink: Sink;
let workspace: Workspace;

beforeAll(async () => {
  sink = await startSink();
  workspace = createWorkspace({ downstream: sink.endpoint });
  const registry = registryOf(workspace);
  await registry.project('Support');
  await registry.agent('Support', { id: agentA, name: 'Support bot' });
  await registry.agent('Support', { id: agentB, name: 'Sales bot' });
  await registry.key('Support', { name: 'everything', existing: fixtureKey });
});

afterAll(async () => {
  await workspace?.close();
  await sink?.stop();
});

beforeEach(() => {
  sink.received.length = 0;
});

const inflate = {
  as_received: (body: Buffer) => body,
  none: (body: Buffer) => body,
  gzip: gunzipSync,
  zstd: zstdDecompressSync,
};

describe.each(['as_received', 'none', 'gzip', 'zstd'] as const)(
  'compression: %s',
  (compression) => {
    let gateway: GatewayProcess;

    beforeAll(async () => {
      gateway = await workspace.start(
        'downstream.encoding=json',
        `downstream.compression=${compression}`,
      );
    });

    afterAll(() => gateway?.stop());

    test.for(fixtures.map((it) => [it.name, it] as const))('%s', async ([, fixture]) => {
      const answer = await replay(gateway, fixture);
      expect(answer.status, answer.message).toBe(200);
      const expected = fixture.expected as ReadExport;
      const agentOf = expected.resources.map(({ platformIds }) =>
        String(platformIds.at(-1)?.string).toLowerCase(),
      );
      expect(sink.received.length).toBe(new Set(agentOf).size);
      for (const { headers, body } of sink.received) {
        expect(headers['content-type']).toBe('application/json');
        const agent = headers['x-mibo-platform-id'];
        const read = readExportJson(inflate[compression](body));
        const indexes = agentOf.flatMap((it, index) => (it === agent ? [index] : []));
        expect(read.resources.map((_, index) => contentOf(read, index))).toEqual(
          indexes.map((index) => contentOf(expected, index)),
        );
        for (const resource of read.resources) {
          expect(resource.platformIds).toEqual([{ string: agent }]);
        }
      }
    });
  },
);
