/**
 * Reading and writing single fields of well-formed messages, for the few that matter one by one.
 * Not for validating: that is the walk's work, and it is done before anything here runs.
 */
import { WireReader, wire } from './wire-reader.ts';

/** Byte offsets in a message; `end` is the first byte after. */
export type Range = { readonly start: number; readonly end: number };

/** `content` is what stands after the tag, and after the length where there is one. */
export type VisitField = (tag: number, content: Range, fieldStart: number) => void;

/** Calls `visit` for each field of the message in `range`, in order. */
export function eachField(bytes: Buffer, range: Range, visit: VisitField): void {
  const reader = new WireReader(bytes, range.start);
  while (reader.pos < range.end) {
    const fieldStart = reader.pos;
    const tag = reader.tag(range.end);
    if ((tag & 7) === wire.bytes) {
      const end = reader.fieldEnd(range.end);
      const start = reader.pos;
      reader.pos = end;
      visit(tag, { start, end }, fieldStart);
    } else {
      const start = reader.pos;
      reader.skipUnknown(tag, range.end, 0);
      visit(tag, { start, end: reader.pos }, fieldStart);
    }
  }
}

/** A tag below 128 and a length prefix. */
export function fieldHeader(tag: number, size: number): Buffer {
  const header = [tag];
  let rest = size;
  while (rest > 127) {
    header.push((rest & 127) | 128);
    rest >>>= 7;
  }
  header.push(rest);
  return Buffer.from(header);
}

/** A length-delimited field with the given content. */
export function delimitedField(tag: number, ...content: readonly Buffer[]): Buffer {
  const size = content.reduce((sum, piece) => sum + piece.length, 0);
  return Buffer.concat([fieldHeader(tag, size), ...content]);
}
