/**
 * The deep walk: every field of a message down to the last attribute, by table, on raw bytes.
 *
 * Promise: accepts exactly what protobufjs' decoder for the same .proto accepts: a known field with
 * another wire type is an unknown field, texts are UTF-8, sub-messages end where their length says,
 * and nesting ends at 100. Counts the spans and notes the first one with ids of a wrong length.
 */
import { span } from './schema.ts';
import {
  bytesKind,
  messageKind,
  parentIdKind,
  rowBits,
  spanIdKind,
  textKind,
  traceIdKind,
  unknownField,
  walkTable,
} from './walk-table.ts';
import { depthMax, WireFault, WireReader, wire } from './wire-reader.ts';

const spanKind = span.index + messageKind;

export class StructureWalk extends WireReader {
  spans = 0;
  /** Where the content of the first span with an id of a wrong length begins; -1: there is none. */
  misshapenSpanAt = -1;
  // Lengths of the ids of the span that is being walked; of a repeated id the last one counts.
  private traceIdBytes = 0;
  private spanIdBytes = 0;
  private parentIdBytes = 0;

  /** Walks the fields up to `end`; `row` is the message's index shifted by `rowBits`. */
  message(row: number, end: number, depth: number): void {
    if (depth > depthMax) throw new WireFault(this.pos, 'messages are nested too deep');
    while (this.pos < end) {
      const tag = this.tag(end);
      const number = tag >>> 3;
      const entry = number < 1 << rowBits ? (walkTable[row | number] as number) : unknownField;
      const wireType = tag & 7;
      // A tag may itself say 6, which is no wire type: the unknown refuse it.
      if ((entry & 7) !== wireType || entry === unknownField) this.skipUnknown(tag, end, depth);
      else if (wireType === wire.bytes) this.delimited(entry >> 3, end, depth);
      else if (wireType === wire.varint) this.skipVarint(end);
      else this.skipFixed(end, wireType === wire.fixed64 ? 8 : 4);
    }
  }

  private delimited(kind: number, end: number, depth: number): void {
    if (kind === textKind) {
      this.skipText(end);
      return;
    }
    const fieldEnd = this.fieldEnd(end);
    if (kind >= messageKind) {
      if (kind === spanKind) this.span(fieldEnd, depth + 1);
      else this.message((kind - messageKind) << rowBits, fieldEnd, depth + 1);
      return;
    }
    const size = fieldEnd - this.pos;
    this.pos = fieldEnd;
    if (kind === bytesKind) return;
    if (kind === traceIdKind) this.traceIdBytes = size;
    else if (kind === spanIdKind) this.spanIdBytes = size;
    else if (kind === parentIdKind) this.parentIdBytes = size;
  }

  private span(end: number, depth: number): void {
    const start = this.pos;
    this.traceIdBytes = 0;
    this.spanIdBytes = 0;
    this.parentIdBytes = 0;
    this.message(span.index << rowBits, end, depth);
    this.spans += 1;
    const parentFits = this.parentIdBytes === 0 || this.parentIdBytes === 8;
    const fits = this.traceIdBytes === 16 && this.spanIdBytes === 8 && parentFits;
    if (!fits && this.misshapenSpanAt < 0) this.misshapenSpanAt = start;
  }
}
