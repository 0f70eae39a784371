/**
 * Whether the texts of a message are UTF-8, which proto3 demands.
 *
 * Most texts are ASCII, and so are the tags and lengths between them. So instead of each text the
 * stretch up to the next byte above 127 is looked at, four bytes at once and every byte at most
 * once; texts inside it are good. Only a text that holds such a byte is given to native code.
 */
import { isUtf8 } from 'node:buffer';

const highBits = 0x80808080;

export class TextCheck {
  private readonly bytes: Buffer;
  private readonly words: Uint32Array;
  /** The first byte above 127 at or after the last text that was looked at. */
  private highAt = -1;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const { buffer } = bytes;
    // Of the whole underlying memory: a message may start at any byte, words only at every fourth.
    this.words = new Uint32Array(buffer, 0, Math.trunc(buffer.byteLength / 4));
  }

  /** Texts have to be asked for in their order. */
  isText(start: number, end: number): boolean {
    if (end <= this.highAt) return true;
    if (start > this.highAt) this.highAt = this.nextHigh(start);
    return end <= this.highAt || isUtf8(this.bytes.subarray(this.highAt, end));
  }

  private nextHigh(start: number): number {
    const { bytes, words } = this;
    const { byteOffset, length } = bytes;
    let pos = start;
    while (pos < length && ((pos + byteOffset) & 3) !== 0) {
      if ((bytes[pos] as number) > 127) return pos;
      pos += 1;
    }
    let word = (pos + byteOffset) >> 2;
    const wordsEnd = ((length + byteOffset) >> 2) - 1;
    while (word < wordsEnd) {
      if ((((words[word] as number) | (words[word + 1] as number)) & highBits) !== 0) break;
      word += 2;
    }
    pos = Math.max(pos, (word << 2) - byteOffset);
    while (pos < length && (bytes[pos] as number) < 128) pos += 1;
    return pos;
  }
}
