/** What real clients sent, against what Python's protobuf runtime found in it. */
import { describe, expect, test } from 'vitest';
import type { NamedTarget } from '../../src/core/target.ts';
import { jsonToProto, protoToJson, splitByAgent, walkExport } from '../../src/otlp/otlp.ts';
import { type ExpectedSpan, type Fixture, loadFixtures } from './fixtures.ts';
import { decodeRequest, type SpanObject, spansOf } from './reference.ts';

const attribute = 'mibo.platform_id';
const agentId = '11111111-2222-3333-4444-555555555555';
const fixtures = loadFixtures();

function toProto({ encoding, message }: Fixture): Buffer {
  return encoding === 'json' ? jsonToProto(message) : message;
}

/** Decodes for Python, but OTLP asks for more: ids of the right length, traces, a JSON body. */
function isRefused({ name, expected }: Fixture): boolean {
  const breaksOtlp = ['edge-ids-absent', 'edge-ids-short', 'python-logs-http-protobuf'];
  return expected.spanCount === undefined || breaksOtlp.includes(name);
}

const good = fixtures.filter((fixture) => !isRefused(fixture));

test('the captures are there, good ones and bad ones', () => {
  expect(good.length).toBeGreaterThan(55);
  expect(fixtures.length - good.length).toBeGreaterThan(5);
});

describe.each(good.map((fixture) => [fixture.name, fixture] as const))('%s', (_name, fixture) => {
  const message = toProto(fixture);
  const walked = walkExport(message, attribute);

  test('has the expected spans and targets', () => {
    expect(walked.items).toBe(fixture.expected.spanCount);
    const named = (fixture.expected.platformIds ?? []).map((ids) => ids.at(-1) || 'absent');
    expect(walked.resources.map(({ target }) => textOf(target))).toEqual(named);
  });

  test('keeps every span on the way to an agent, and names the agent once', () => {
    const agents = walked.resources.map(() => agentId);
    const shares = splitByAgent(message, walked, agents);
    const stamped = Buffer.concat(shares.flatMap(({ body }) => [...body]));
    const decoded = decodeRequest(stamped).resourceSpans ?? [];
    expect(decoded.flatMap(spansOf).map(inBrief)).toEqual(expectedSpans(fixture));
    for (const { resource } of decoded) {
      const own = (resource?.attributes ?? []).filter(({ key }) => key === attribute);
      expect(own).toEqual([{ key: attribute, value: { stringValue: agentId } }]);
    }
  });

  test('survives JSON and back', () => {
    expect(decodeRequest(jsonToProto(protoToJson(message)))).toEqual(decodeRequest(message));
  });
});

test.each(fixtures.filter(isRefused).map((fixture) => [fixture.name, fixture] as const))(
  '%s is refused with a hint that starts with the fix',
  (_name, fixture) => {
    expect(() => walkExport(toProto(fixture), attribute)).toThrowError(
      expect.objectContaining({
        kind: 'malformed',
        hint: expect.stringMatching(/^(set|send|give) /),
      }),
    );
  },
);

function textOf(target: NamedTarget): string {
  return target.kind === 'named' ? target.value : target.kind;
}

function expectedSpans({ expected }: Fixture): unknown[] {
  return (expected.spans ?? []).map(
    ({ traceId, spanId, parentSpanId, name, kind, start, end }: ExpectedSpan) => ({
      traceId,
      spanId,
      parentSpanId,
      name,
      kind,
      start,
      end,
    }),
  );
}

function inBrief(span: SpanObject): Record<keyof ExpectedSpan, unknown> {
  return {
    traceId: hexOf(span.traceId),
    spanId: hexOf(span.spanId),
    parentSpanId: hexOf(span.parentSpanId),
    name: span.name ?? '',
    kind: span.kind ?? 0,
    start: span.startTimeUnixNano ?? '0',
    end: span.endTimeUnixNano ?? '0',
  };
}

function hexOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
