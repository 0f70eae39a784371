/**
 * One body per agent out of one export request: slices of what arrived, stamped with the agent.
 *
 * Repeated fields of concatenated protobuf messages append
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a share is simply its
 * resources one after the other. Nothing is decoded.
 */
import { GatewayError } from '../core/errors.ts';
import { Pieces } from './pieces.ts';
import { createStamp, type Stamp, stampResource } from './stamp.ts';
import type { WalkedExport, WalkedResource } from './walk.ts';

export type AgentShare = {
  /** Lower-case; empty where nothing was stamped. */
  readonly agentId: string;
  /** Spans. */
  readonly items: number;
  /** In order; slices of the message wherever possible. */
  readonly body: readonly Buffer[];
  readonly bodyBytes: number;
  /** The share is the whole message, byte for byte. */
  readonly untouched: boolean;
};

type OpenShare = { items: number; readonly pieces: Pieces; readonly stamp: Stamp };

/** Unknown fields go into every share; beyond this size that would multiply a hostile body. */
const sharedUnknownBytesMax = 64 * 1024;

/**
 * `agentOf[i]` is the agent of `walked.resources[i]`: undefined leaves it out, '' keeps it as it
 * is, and any other makes it leave with exactly one attribute that holds the agent. Shares stand in
 * the order of their first resource. Unknown top-level fields are kept in every share.
 */
export function splitByAgent(
  message: Buffer,
  walked: WalkedExport,
  agentOf: readonly (string | undefined)[],
): AgentShare[] {
  const [first] = agentOf;
  if (first !== undefined && leavesAsItCame(walked, agentOf, first)) {
    const { length: bodyBytes } = message;
    return [{ agentId: first, items: walked.items, body: [message], bodyBytes, untouched: true }];
  }
  const shares = new Map<string, OpenShare>();
  for (const [index, resource] of walked.resources.entries()) {
    const agentId = agentOf[index];
    if (agentId === undefined) continue;
    const share = shares.get(agentId) ?? openShare(message, walked.attribute, agentId);
    shares.set(agentId, share);
    share.items += resource.items;
    if (carries(resource, agentId)) share.pieces.addSlice(resource.start, resource.end);
    else share.pieces.add(...stampResource(message, resource, share.stamp).finish());
  }
  const unknown = unknownFields(message, walked, shares.size);
  return [...shares].map(([agentId, { items, pieces }]) => {
    if (unknown.length > 0) pieces.add(unknown);
    const body = pieces.finish();
    return { agentId, items, body, bodyBytes: pieces.byteLength, untouched: false };
  });
}

function openShare(message: Buffer, attribute: string, agentId: string): OpenShare {
  return { items: 0, pieces: new Pieces(message), stamp: createStamp(attribute, agentId) };
}

/** Whether the resource may go to this agent without a change. */
function carries({ plain, target }: WalkedResource, agentId: string): boolean {
  return agentId === '' || (plain && target.kind === 'named' && target.value === agentId);
}

function leavesAsItCame(
  walked: WalkedExport,
  agentOf: readonly (string | undefined)[],
  agentId: string,
): boolean {
  // What is ignored may name another agent, so it does not go out under this one's name.
  if (walked.hasIgnored && agentId !== '') return false;
  return walked.resources.every(
    (resource, index) => agentOf[index] === agentId && carries(resource, agentId),
  );
}

function unknownFields(message: Buffer, walked: WalkedExport, shares: number): Buffer {
  const { unknownRanges } = walked;
  const slices: Buffer[] = [];
  for (let index = 0; index < unknownRanges.length; index += 2) {
    slices.push(message.subarray(unknownRanges[index], unknownRanges[index + 1]));
  }
  const unknown = Buffer.concat(slices);
  if (shares > 1 && unknown.length > sharedUnknownBytesMax) {
    throw new GatewayError(
      'malformed',
      'send one agent per request, or leave out the unknown top-level fields: they are too large ' +
        `to go to each agent (${unknown.length} bytes)`,
    );
  }
  return unknown;
}
