/**
 * The walk over an export request: validates its bytes, counts its spans, finds where each resource
 * stands and which target it names. No span is ever decoded into an object.
 */
import { GatewayError } from '../core/errors.ts';
import type { NamedTarget } from '../core/target.ts';
import { malformedExport, malformedIds, noExport, removedScopes } from './malformed.ts';
import { readTarget } from './resource-target.ts';
import { resourceSpans } from './schema.ts';
import { StructureWalk } from './structure-walk.ts';
import { rowBits } from './walk-table.ts';
import { wire } from './wire-reader.ts';

/** One `ResourceSpans` with at least one span. */
export type WalkedResource = {
  /** Where the field stands in the message, tag and length included; byte offsets. */
  readonly start: number;
  readonly end: number;
  /** Where its content begins, after tag and length. */
  readonly bodyStart: number;
  /** Spans. */
  readonly items: number;
  readonly target: NamedTarget;
  /** The target stands there in exactly one, plainly written attribute. */
  readonly plain: boolean;
};

export type WalkedExport = {
  /** The resource attribute that was looked for. */
  readonly attribute: string;
  /** In their order; those without spans are ignored and do not appear. */
  readonly resources: readonly WalkedResource[];
  /** Spans. */
  readonly items: number;
  /** Whether any `ResourceSpans` had no spans. */
  readonly hasIgnored: boolean;
  /** Top-level fields that nothing here knows, as start, end, start, end, … in bytes. */
  readonly unknownRanges: readonly number[];
};

/** Each becomes an object: a body of nothing but 2-byte fields must not fill the memory. */
const piecesMax = 100_000;

/** Field 1 of the request, and of nothing else at the top level. */
export const resourceSpansTag = (1 << 3) | wire.bytes;
const resourceSpansRow = resourceSpans.index << rowBits;

/**
 * `attribute` is the resource attribute that names the target. Throws `GatewayError('malformed')`,
 * or `payload_too_large` for more than 100,000 resources in one request.
 */
export function walkExport(message: Buffer, attribute: string): WalkedExport {
  const walk = new StructureWalk(message);
  let walked: WalkedExport;
  try {
    walked = walkRequest(walk, attribute);
  } catch (thrown) {
    throw malformedExport(message, thrown);
  }
  if (walk.misshapenSpanAt >= 0) throw malformedIds(message, walk.misshapenSpanAt);
  // What nothing here sees would be accepted, and lost.
  if (walk.removedScopesAt >= 0) throw removedScopes(message, walk.removedScopesAt);
  const hasResources = walked.hasIgnored || walked.resources.length > 0;
  if (message.length > 0 && !hasResources) throw noExport(message);
  return walked;
}

function walkRequest(walk: StructureWalk, attribute: string): WalkedExport {
  const { bytes } = walk;
  const resources: WalkedResource[] = [];
  const unknownRanges: number[] = [];
  let hasIgnored = false;
  while (walk.pos < bytes.length) {
    const start = walk.pos;
    const tag = walk.tag(bytes.length);
    if (tag !== resourceSpansTag) {
      walk.skipUnknown(tag, bytes.length, 0);
      addRange(unknownRanges, start, walk.pos);
    } else {
      const end = walk.fieldEnd(bytes.length);
      const bodyStart = walk.pos;
      const itemsBefore = walk.spans;
      walk.enter(resourceSpansRow, bodyStart, end);
      walk.pos = end;
      const items = walk.spans - itemsBefore;
      if (items === 0) hasIgnored = true;
      else {
        const { target, plain } = readTarget(bytes, { start: bodyStart, end }, attribute);
        resources.push({ start, end, bodyStart, items, target, plain });
      }
    }
    if (resources.length + unknownRanges.length / 2 > piecesMax) throw tooManyPieces();
  }
  return { attribute, resources, items: walk.spans, hasIgnored, unknownRanges };
}

function addRange(ranges: number[], start: number, end: number): void {
  if (ranges.at(-1) === start) ranges[ranges.length - 1] = end;
  else ranges.push(start, end);
}

function tooManyPieces(): GatewayError {
  return new GatewayError(
    'payload_too_large',
    `send smaller batches: one request may hold ${piecesMax} resources, and this one holds more`,
  );
}
