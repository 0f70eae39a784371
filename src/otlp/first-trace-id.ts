/** Which trace a refused request is about, for whoever looks for it. Not for the good path. */
import { WireFault, WireReader, wire } from './wire-reader.ts';

/** From the request: `resource_spans`, `scope_spans`, `spans`, `trace_id`. */
const path = [1, 2, 2, 1].map((number) => (number << 3) | wire.bytes);
const traceIdBytes = 16;

/** Hex; undefined where no span has one, or where the bytes before it are malformed. */
export function firstTraceId(message: Buffer): string | undefined {
  try {
    return find(new WireReader(message), message.length, 0);
  } catch (thrown) {
    if (thrown instanceof WireFault) return undefined;
    throw thrown;
  }
}

function find(reader: WireReader, end: number, depth: number): string | undefined {
  while (reader.pos < end) {
    const tag = reader.tag(end);
    if (tag !== path[depth]) {
      reader.skipUnknown(tag, end, 0);
      continue;
    }
    const fieldEnd = reader.fieldEnd(end);
    const start = reader.pos;
    if (depth < path.length - 1) {
      const found = find(reader, fieldEnd, depth + 1);
      if (found !== undefined) return found;
    } else if (fieldEnd - start === traceIdBytes) {
      return reader.bytes.toString('hex', start, fieldEnd);
    }
    reader.pos = fieldEnd;
  }
  return undefined;
}
