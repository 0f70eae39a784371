/** Random exports: what comes out decodes to what went in, sorted by agent. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonToProto, protoToJson, splitByAgent, walkExport } from '../../src/otlp/otlp.ts';
import { exports as anyExport } from './arbitrary-export.ts';
import { decodeRequest, encodeRequest, type ResourceSpansObject, spansOf } from './reference.ts';

const attribute = 'mibo.platform_id';
const agents = ['7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c', '0e8d3a52-9f61-4c7b-8a10-5d2b6f7c8e91'];

test('every span reaches its agent unchanged, and nothing else changes but the stamp', () => {
  const choices = fc.array(fc.constantFrom(...agents, undefined), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(anyExport, choices, (request, chosen) => {
      const message = encodeRequest(request);
      const walked = walkExport(message, attribute);
      const kept = (decodeRequest(message).resourceSpans ?? []).filter(hasSpans);
      expect(walked.resources.map(({ items }) => items)).toEqual(
        kept.map((resource) => spansOf(resource).length),
      );
      const agentOf = kept.map((_, index) => chosen[index]);
      const shares = splitByAgent(message, walked, agentOf);
      const order = [...new Set(agentOf)].filter((agent) => agent !== undefined);
      expect(shares.map(({ agentId }) => agentId)).toEqual(order);
      for (const { agentId, body, items } of shares) {
        const expected = kept.filter((_, index) => agentOf[index] === agentId);
        const decoded = decodeRequest(Buffer.concat(body)).resourceSpans ?? [];
        expect(decoded).toEqual(expected.map((resource) => stamped(resource, agentId)));
        expect(items).toBe(expected.flatMap(spansOf).length);
      }
    }),
    { numRuns: 500 },
  );
});

test('JSON keeps everything, both ways', () => {
  fc.assert(
    fc.property(anyExport, (request) => {
      const message = encodeRequest(request);
      const back = jsonToProto(protoToJson(message));
      expect(decodeRequest(back)).toEqual(decodeRequest(message));
    }),
    { numRuns: 500 },
  );
});

function hasSpans(resource: ResourceSpansObject): boolean {
  return spansOf(resource).length > 0;
}

/** One plain entry stays where it is; otherwise the agent stands last. */
function stamped({ resource, ...rest }: ResourceSpansObject, agentId: string): ResourceSpansObject {
  const attributes = resource?.attributes ?? [];
  const own = attributes.filter(({ key }) => key === attribute);
  const isPlain = own.length === 1 && own[0]?.value?.stringValue === agentId;
  if (isPlain && resource) return { resource, ...rest };
  const others = attributes.filter(({ key }) => key !== attribute);
  const entry = { key: attribute, value: { stringValue: agentId } };
  return { ...rest, resource: { ...resource, attributes: [...others, entry] } };
}
