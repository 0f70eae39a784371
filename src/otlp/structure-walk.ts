/**
 * The deep walk: every field of a message down to the last attribute, by table, on raw bytes.
 *
 * Promise: accepts exactly what protobufjs' decoder for the same .proto accepts: a known field with
 * another wire type is an unknown field, texts are UTF-8, sub-messages end where their length says,
 * and nesting ends at 100. Counts the spans and notes the first one with ids of a wrong length, and
 * the first resource with scopes where nothing looks for them any more.
 *
 * `message` walks anything. Attributes are most of what clients send, so `attribute` steps over the
 * usual ones with fewer decisions and leaves whatever else comes to `message`.
 */
import { anyValue, keyValue, resourceSpans, span } from './schema.ts';
import { TextCheck } from './text-check.ts';
import { actions, rowBits, walkTable } from './walk-table.ts';
import { depthMax, WireFault, WireReader, wire } from './wire-reader.ts';

// Copies of what is imported: the engine treats a module's own constants as such, while it loads
// and checks imported ones each time, which costs a fifth of the walk.
const table = walkTable;
const rowLength = 1 << rowBits;
const { unknown, varint, fixed64, fixed32, bytes: bytesAction, text: textAction } = actions;
const { traceId, spanId, parentId, message: messageAction } = actions;
const resourceRow = resourceSpans.index << rowBits;
const spanRow = span.index << rowBits;
const keyValueRow = keyValue.index << rowBits;
const anyValueRow = anyValue.index << rowBits;
const keyValueAction = keyValue.index + messageAction;

const keyTag = 0x0a;
const valueTag = 0x12;
const stringTag = 0x0a;
const intTag = 0x18;

/** `instrumentation_library_spans`, which OTLP 0.15 deprecated and later versions do without. */
const removedScopesTag = (1000 << 3) | wire.bytes;

export class StructureWalk extends WireReader {
  spans = 0;
  /** Where the content of the first span with an id of a wrong length begins; -1: there is none. */
  misshapenSpanAt = -1;
  /** Where the content of the first resource with removed scopes begins; -1: there is none. */
  removedScopesAt = -1;
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

  /** Walks a sub-message of the current one; its row is its index shifted by `rowBits`. */
  enter(row: number, start: number, end: number): void {
    if (this.depth >= depthMax) throw tooDeep(start);
    this.depth += 1;
    if (row === spanRow) this.span(start, end);
    else this.message(row, start, end);
    this.depth -= 1;
  }

  private message(row: number, start: number, end: number): void {
    const { bytes } = this;
    let pos = start;
    while (pos < end) {
      let tag = bytes[pos] as number;
      pos += 1;
      if (tag > 127) {
        this.pos = pos - 1;
        tag = this.tag(end);
        pos = this.pos;
        if (tag === removedScopesTag && row === resourceRow && this.removedScopesAt < 0) {
          this.removedScopesAt = start;
        }
      }
      const action = tag < rowLength ? (table[row | tag] as number) : unknown;
      if (action < bytesAction) {
        this.pos = pos;
        this.scalar(action, tag, end);
        pos = this.pos;
        continue;
      }
      const size = pos < end ? (bytes[pos] as number) : 255;
      let fieldEnd = pos + 1 + size;
      if (size < 128 && fieldEnd <= end) pos += 1;
      else {
        this.pos = pos;
        fieldEnd = this.fieldEnd(end);
        pos = this.pos;
      }
      if (action === textAction) this.text(pos, fieldEnd);
      else if (action === keyValueAction) this.attribute(pos, fieldEnd);
      else this.delimited(action, pos, fieldEnd);
      pos = fieldEnd;
    }
  }

  private scalar(action: number, tag: number, end: number): void {
    if (action === varint) this.skipVarint(end);
    else if (action === fixed64) this.skipFixed(end, 8);
    else if (action === fixed32) this.skipFixed(end, 4);
    else this.skipUnknown(tag, end, this.depth);
  }

  private delimited(action: number, start: number, end: number): void {
    if (action >= messageAction) this.enter((action - messageAction) << rowBits, start, end);
    else if (action === traceId) this.traceIdBytes = end - start;
    else if (action === spanId) this.spanIdBytes = end - start;
    else if (action === parentId) this.parentIdBytes = end - start;
  }

  /** As `enter` for a `KeyValue`. */
  private attribute(start: number, end: number): void {
    if (this.depth >= depthMax) throw tooDeep(start);
    const { bytes } = this;
    let pos = start;
    while (pos < end) {
      const tag = bytes[pos] as number;
      if (tag !== keyTag && tag !== valueTag) {
        this.depth += 1;
        this.message(keyValueRow, pos, end);
        this.depth -= 1;
        return;
      }
      pos += 1;
      const size = pos < end ? (bytes[pos] as number) : 255;
      let fieldEnd = pos + 1 + size;
      if (size < 128 && fieldEnd <= end) pos += 1;
      else {
        this.pos = pos;
        fieldEnd = this.fieldEnd(end);
        pos = this.pos;
      }
      if (tag === keyTag) this.text(pos, fieldEnd);
      else this.attributeValue(pos, fieldEnd);
      pos = fieldEnd;
    }
  }

  /** As `enter` for the `AnyValue` of a `KeyValue` of the current message: two levels below it. */
  private attributeValue(start: number, end: number): void {
    if (this.depth + 1 >= depthMax) throw tooDeep(start);
    let pos = start;
    const tag = start < end ? this.bytes[start] : undefined;
    this.pos = start + 1;
    if (tag === stringTag) {
      pos = this.fieldEnd(end);
      this.text(this.pos, pos);
    } else if (tag === intTag) {
      this.skipVarint(end);
      pos = this.pos;
    }
    if (pos === end) return;
    this.depth += 2;
    this.message(anyValueRow, pos, end);
    this.depth -= 2;
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

function tooDeep(offset: number): WireFault {
  return new WireFault(offset, 'messages are nested too deep');
}
