/** A body as pieces: slices of a message wherever possible; slices that touch become one. */
export class Pieces {
  readonly list: Buffer[] = [];
  byteLength = 0;
  private readonly message: Buffer;
  // The slice that may still grow.
  private sliceStart = 0;
  private sliceEnd = 0;

  constructor(message: Buffer) {
    this.message = message;
  }

  addSlice(start: number, end: number): void {
    this.byteLength += end - start;
    if (start !== this.sliceEnd) {
      this.flush();
      this.sliceStart = start;
    }
    this.sliceEnd = end;
  }

  add(...added: readonly Buffer[]): void {
    this.flush();
    for (const piece of added) {
      this.list.push(piece);
      this.byteLength += piece.length;
    }
  }

  finish(): Buffer[] {
    this.flush();
    return this.list;
  }

  private flush(): void {
    if (this.sliceEnd > this.sliceStart) {
      this.list.push(this.message.subarray(this.sliceStart, this.sliceEnd));
    }
    this.sliceStart = this.sliceEnd;
  }
}
