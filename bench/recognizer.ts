/**
 * What a body that arrived at the sink holds. The bodies that the load sends are known, their spans
 * were counted once: a body is compared with them byte for byte, which is a stricter check than
 * inflating and counting, and costs the machine so little that the gateway stays what is measured.
 * Anything else, such as a stamped body, is inflated and walked.
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { countSpans } from './count-spans.ts';
import type { Payload } from './payloads.ts';

export type Recognized = {
  readonly spans: number;
  /** Spans whose body names or belongs to another agent than the request's header. */
  readonly misrouted: number;
};

type Known = { readonly bytes: Buffer; readonly spans: number; readonly agentId: string };

export type Recognizer = (body: Buffer, head: { encoding: string; agentId: string }) => Recognized;

/** Bodies differ well within this; gzip's own head says nothing. */
const prefixBytes = 96;

export function createRecognizer(payloads: readonly Payload[]): Recognizer {
  const byPrefix = new Map<string, Known[]>();
  for (const { body, message, agentId } of payloads) {
    const known = { bytes: body, spans: countSpans(message), agentId };
    const prefix = body.toString('latin1', 0, prefixBytes);
    byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), known]);
  }

  function knownAt(body: Buffer, at: number): Known | undefined {
    return byPrefix
      .get(body.toString('latin1', at, at + prefixBytes))
      ?.find(({ bytes }) => bytes.compare(body, at, at + bytes.length) === 0);
  }

  /** Joined deliveries stand one after the other. */
  return (body, { encoding, agentId }) => {
    let spans = 0;
    let misrouted = 0;
    let at = 0;
    while (at < body.length) {
      const known = knownAt(body, at);
      if (known === undefined) break;
      spans += known.spans;
      if (known.agentId !== agentId) misrouted += known.spans;
      at += known.bytes.length;
    }
    if (at === body.length) return { spans, misrouted };
    const message = inflate(body.subarray(at), encoding);
    const walked = countSpans(message);
    return {
      spans: spans + walked,
      misrouted: misrouted + (message.includes(agentId) ? 0 : walked),
    };
  };
}

function inflate(body: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gunzipSync(body);
  return encoding === 'zstd' ? zstdDecompressSync(body) : body;
}
