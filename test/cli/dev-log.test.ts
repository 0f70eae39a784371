/** The log of `dev`: a comment for each line, which a shell takes as it is. */
import { describe, expect, test } from 'vitest';
import { createDevLog } from '../../src/cli/dev-log.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { createObservability } from '../../src/observability/observability.ts';

function observed() {
  const lines: string[] = [];
  const write = (text: string) => void lines.push(text);
  return { lines, ...createObservability({ level: 'info', destination: createDevLog(write) }) };
}

const peer = { protocol: 'http', peer: '127.0.0.1' } as const;

describe('a line of the log', () => {
  test('of a refusal says what, by which protocol, and what to do', () => {
    const { lines, refusals } = observed();
    refusals.record(new GatewayError('invalid_api_key', 'use another API key: it is new'), peer);
    const words = 'refused  invalid_api_key  http  use another API key: it is new';
    expect(lines).toEqual([expect.stringMatching(/^# \d\d:\d\d:\d\d {2}/)]);
    expect(lines[0]?.slice('# 00:00:00  '.length)).toBe(`${words}\n`);
  });

  test('of anything else has its level and its message, and the fault if there is one', () => {
    const { lines, log } = observed();
    log.info({ port: 1 }, 'listening');
    log.error({ err: new Error('disk full') }, 'not written');
    expect(lines.map((line) => line.slice('# 00:00:00'.length))).toEqual([
      '  info  listening\n',
      '  error  not written  disk full\n',
    ]);
  });

  test('says why the downstream did not take a delivery', () => {
    const { lines, log } = observed();
    log.warn({ reason: 'connection refused' }, 'the downstream did not take a delivery');
    expect(lines[0]).toMatch(/ {2}warn {2}the downstream did not .* {2}connection refused\n$/);
  });

  test('says where spans went whose agent was overruled, and what ails the key store', () => {
    const { lines, refusals, log } = observed();
    const admitted = { request: peer, tenant: { keyId: 'key-1' } };
    refusals.overruled(1, 'the spans went to Support bot', admitted);
    log.error({ cause: { message: 'the file of the store is gone' } }, 'the store is silent');
    expect(lines[0]).toMatch(/ {2}another agent was named.* {2}the spans went to Support bot\n$/);
    expect(lines[1]).toMatch(/ {2}the store is silent {2}the file of the store is gone\n$/);
  });

  test('means nothing to a shell, whatever a sender wrote into it', () => {
    const { lines, refusals, log } = observed();
    const evil = `a'b"c\`id\`$(id) <x >y | z & ; {1..9} * ? [ab] ~ ! \\ # =ls\n\u001b[2J`;
    refusals.record(new GatewayError('malformed', evil), peer);
    log.warn({ err: new Error(evil) }, evil);
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^#[\w .,:/�-]*\n$/);
  });

  test('tells how many were held back before it', () => {
    const { lines, log } = observed();
    log.warn({ suppressed: 3 }, 'spans are dropped');
    expect(lines[0]).toMatch(/ {2}spans are dropped {2}and 3 more before\n$/);
  });

  test('that is no JSON is shown as it is', () => {
    const lines: string[] = [];
    createDevLog((text) => void lines.push(text)).write('plain words\n');
    expect(lines).toEqual([expect.stringMatching(/^# \d\d:\d\d:\d\d {2}plain words\n$/)]);
  });
});
