/**
 * The deep walk: every field of a message down to the last attribute, by table, on raw bytes.
 *
 * Promise: accepts exactly what protobufjs' decoder for the same .proto accepts: a known field with
 * another wire type is an unknown field, texts are UTF-8, sub-messages end where their length says,
 * and nesting ends at 100. Counts the spans and notes the first one with ids of a wrong length.
 *
 * `message` walks anything. Attributes are most of what clients send, so `keyValue` and `anyValue`
 * step over their usual fields with fewer decisions and leave whatever else comes to `message`.
 */
import { anyValue, keyValue, span } from './schema.ts';
import { TextCheck } from './text-check.ts';
import {
  bytesAction,
  fixed32Action,
  fixed64Action,
  messageAction,
  parentIdAction,
  rowBits,
  spanIdAction,
  textAction,
  traceIdAction,
  unknownAction,
  varintAction,
  walkTable,
} from './walk-table.ts';
import { depthMax, WireFault, WireReader } from './wire-reader.ts';

const spanRow = span.index << rowBits;
const keyValueRow = keyValue.index << rowBits;
const anyValueRow = anyValue.index << rowBits;

const keyTag = 0x0a;
const valueTag = 0x12;
const stringTag = 0x0a;

export class StructureWalk extends WireReader {
  spans = 0;
  /** Where the content of the first span with an id of a wrong length begins; -1: there is none. */
  misshapenSpanAt = -1;
  private depth = 0;
  private readonly texts: TextCheck;
  // Lengths of the ids of the span that is being walked; of a repeated id the last one counts.
  private traceIdBytes = 0;
  private spanIdBytes = 0;
  private parentIdBytes = 0;

  constructor(bytes: Buffer) {
    super(bytes);
    this.texts = new TextCheck(bytes);
  }

  /** Walks a sub-message, whose row is its index shifted by `rowBits`. */
  enter(row: number, start: number, end: number): void {
    this.depth += 1;
    if (this.depth > depthMax) throw new WireFault(start, 'messages are nested too deep');
    if (row === keyValueRow) this.keyValue(start, end);
    else if (row === anyValueRow) this.anyValue(start, end);
    else if (row === spanRow) this.span(start, end);
    else this.message(row, start, end);
    this.depth -= 1;
  }

  private message(row: number, start: number, end: number): void {
    const { bytes } = this;
    const table = walkTable;
    let pos = start;
    while (pos < end) {
      let tag = bytes[pos] as number;
      pos += 1;
      if (tag > 127) {
        this.pos = pos - 1;
        tag = this.tag(end);
        pos = this.pos;
      }
      const action = tag < 1 << rowBits ? (table[row | tag] as number) : unknownAction;
      if (action < bytesAction) {
        this.pos = pos;
        this.scalar(action, tag, end);
        pos = this.pos;
        continue;
      }
      let fieldEnd = pos < end ? pos + 1 + (bytes[pos] as number) : end + 1;
      if (fieldEnd <= end && (bytes[pos] as number) < 128) pos += 1;
      else {
        this.pos = pos;
        fieldEnd = this.fieldEnd(end);
        pos = this.pos;
      }
      this.delimited(action, pos, fieldEnd);
      pos = fieldEnd;
    }
  }

  private scalar(action: number, tag: number, end: number): void {
    if (action === varintAction) this.skipVarint(end);
    else if (action === fixed64Action) this.skipFixed(end, 8);
    else if (action === fixed32Action) this.skipFixed(end, 4);
    else this.skipUnknown(tag, end, this.depth);
  }

  private delimited(action: number, start: number, end: number): void {
    if (action >= messageAction) this.enter((action - messageAction) << rowBits, start, end);
    else if (action === textAction) this.text(start, end);
    else if (action === traceIdAction) this.traceIdBytes = end - start;
    else if (action === spanIdAction) this.spanIdBytes = end - start;
    else if (action === parentIdAction) this.parentIdBytes = end - start;
  }

  private keyValue(start: number, end: number): void {
    const { bytes } = this;
    let pos = start;
    while (pos < end) {
      const tag = bytes[pos] as number;
      if (tag !== keyTag && tag !== valueTag) {
        this.message(keyValueRow, pos, end);
        return;
      }
      pos += 1;
      let fieldEnd = pos < end ? pos + 1 + (bytes[pos] as number) : end + 1;
      if (fieldEnd <= end && (bytes[pos] as number) < 128) pos += 1;
      else {
        this.pos = pos;
        fieldEnd = this.fieldEnd(end);
        pos = this.pos;
      }
      if (tag === keyTag) this.text(pos, fieldEnd);
      else this.enter(anyValueRow, pos, fieldEnd);
      pos = fieldEnd;
    }
  }

  private anyValue(start: number, end: number): void {
    if (start < end && this.bytes[start] === stringTag) {
      this.pos = start + 1;
      const fieldEnd = this.fieldEnd(end);
      this.text(this.pos, fieldEnd);
      if (fieldEnd < end) this.message(anyValueRow, fieldEnd, end);
    } else this.message(anyValueRow, start, end);
  }

  private text(start: number, end: number): void {
    if (!this.texts.isText(start, end)) throw new WireFault(start, 'a text is not UTF-8');
  }

  private span(start: number, end: number): void {
    this.traceIdBytes = 0;
    this.spanIdBytes = 0;
    this.parentIdBytes = 0;
    this.message(spanRow, start, end);
    this.spans += 1;
    const parentFits = this.parentIdBytes === 0 || this.parentIdBytes === 8;
    const fits = this.traceIdBytes === 16 && this.spanIdBytes === 8 && parentFits;
    if (!fits && this.misshapenSpanAt < 0) this.misshapenSpanAt = start;
  }
}
