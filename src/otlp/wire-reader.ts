/**
 * A cursor over protobuf bytes (https://protobuf.dev/programming-guides/encoding/).
 *
 * Promise: accepts and refuses exactly what protobufjs' reader does, so that whatever is let
 * through can be decoded by those behind us. Every `end` is the innermost message's end: nothing is
 * ever read beyond it. Throws `WireFault` only.
 */
import { isUtf8 } from 'node:buffer';

/** Bytes that are not protobuf: what is wrong, at which byte. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
  readonly offset: number;
  readonly what: string;

  constructor(offset: number, what: string) {
    super(`${what} at byte ${offset}`);
    this.offset = offset;
    this.what = what;
  }
}

/** Wire types, the low three bits of a tag. */
export const wire = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 };

/** Messages and groups may nest this deep; the limit of protobuf's C++, Java and JS decoders. */
export const depthMax = 100;

/** Up to here a loop over the bytes beats a call into native code. */
const shortTextBytesMax = 48;

export class WireReader {
  readonly bytes: Buffer;
  pos: number;

  constructor(bytes: Buffer, pos = 0) {
    this.bytes = bytes;
    this.pos = pos;
  }

  /** A field's tag: its number times eight plus its wire type. */
  tag(end: number): number {
    const byte = this.pos < end ? (this.bytes[this.pos] as number) : 255;
    if (byte < 128) {
      this.pos += 1;
      return byte;
    }
    return this.varint32(end, 0x0f);
  }

  /** Reads a length prefix and returns where the field that it measures ends. */
  fieldEnd(end: number): number {
    const byte = this.pos < end ? (this.bytes[this.pos] as number) : 255;
    let size = byte;
    if (byte < 128) this.pos += 1;
    else size = this.varint32(end, 0x07);
    const fieldEnd = this.pos + size;
    if (fieldEnd > end) throw this.tooLong(end);
    return fieldEnd;
  }

  private tooLong(end: number): WireFault {
    const isCutOff = end === this.bytes.length;
    const what = isCutOff ? 'the body is cut off in a field' : 'a field is longer than its message';
    return new WireFault(this.pos, what);
  }

  /** At most five bytes, of which the last is at most `lastMax`: 32 bits for tags, 31 for sizes. */
  private varint32(end: number, lastMax: number): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(end);
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    const last = this.byte(end);
    if (last > lastMax) throw new WireFault(this.pos - 1, 'a tag or length is out of range');
    return (value | (last << 28)) >>> 0;
  }

  private byte(end: number): number {
    if (this.pos >= end) throw new WireFault(end, 'the body is cut off');
    const byte = this.bytes[this.pos] as number;
    this.pos += 1;
    return byte;
  }

  /** A varint of a known field: at most ten bytes. */
  skipVarint(end: number): void {
    for (let count = 0; count < 10; count += 1) {
      if (this.byte(end) < 128) return;
    }
    throw new WireFault(this.pos, 'a number is longer than ten bytes');
  }

  /** A varint of a known field, as the 64 bits that it holds. */
  varint64(end: number): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte(end);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new WireFault(this.pos, 'a number is longer than ten bytes');
  }

  skipFixed(end: number, size: number): void {
    if (this.pos + size > end) throw new WireFault(end, 'the body is cut off');
    this.pos += size;
  }

  /** Steps over a string, which has to be UTF-8 (proto3). */
  skipText(end: number): void {
    const { bytes } = this;
    const textEnd = this.fieldEnd(end);
    let pos = this.pos;
    const shortEnd = textEnd - pos <= shortTextBytesMax ? textEnd : pos;
    while (pos < shortEnd && (bytes[pos] as number) < 128) pos += 1;
    if (pos < textEnd && !isUtf8(bytes.subarray(pos, textEnd))) {
      throw new WireFault(this.pos, 'a text is not UTF-8');
    }
    this.pos = textEnd;
  }

  /**
   * Steps over a field that nothing here knows, after its tag. `depth` is that of the message which
   * the field stands in. As in protobufjs, unknown varints may have any length.
   */
  skipUnknown(tag: number, end: number, depth: number): void {
    const field = tag >>> 3;
    if (depth > depthMax) throw new WireFault(this.pos, 'groups are nested too deep');
    if (field === 0) throw new WireFault(this.pos, 'a field has the number 0');
    const wireType = tag & 7;
    if (wireType === wire.varint) while (this.byte(end) >= 128);
    else if (wireType === wire.fixed64) this.skipFixed(end, 8);
    else if (wireType === wire.bytes) this.pos = this.fieldEnd(end);
    else if (wireType === wire.groupStart) this.skipGroup(field, end, depth);
    else if (wireType === wire.fixed32) this.skipFixed(end, 4);
    else throw new WireFault(this.pos, `a field has the unknown wire type ${wireType}`);
  }

  private skipGroup(field: number, end: number, depth: number): void {
    while (true) {
      const tag = this.tag(end);
      if ((tag & 7) !== wire.groupEnd) {
        this.skipUnknown(tag, end, depth + 1);
        continue;
      }
      if (tag >>> 3 === field) return;
      throw new WireFault(this.pos, 'a group is closed by another field');
    }
  }
}
