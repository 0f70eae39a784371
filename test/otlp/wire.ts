/** Protobuf bytes written by hand, for what an encoder would never write. */

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

export function tag(number: number, wireType: number): Buffer {
  return varint(number * 8 + wireType);
}

/** A length-delimited field. */
export function field(number: number, ...content: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(content.map((piece) => Buffer.from(piece)));
  return Buffer.concat([tag(number, 2), varint(body.length), body]);
}

export const traceId = Buffer.from('5b8efff798038103d269b633813fc60c', 'hex');
export const spanId = Buffer.from('eee19b7ec3c1b174', 'hex');

/** A span with whole ids and whatever else. */
export function span(...rest: readonly Buffer[]): Buffer {
  return field(2, field(1, traceId), field(2, spanId), ...rest);
}

export function scopeSpans(...content: readonly Buffer[]): Buffer {
  return field(2, ...content);
}

export function resourceSpans(...content: readonly Buffer[]): Buffer {
  return field(1, ...content);
}

export function resource(...attributes: readonly Buffer[]): Buffer {
  return field(1, ...attributes);
}

export function textAttribute(key: string, text: string): Buffer {
  return field(1, field(1, key), field(2, field(1, text)));
}

/** A request of one resource with one span, into which `spanContent` goes. */
export function requestWith(...spanContent: readonly Buffer[]): Buffer {
  return resourceSpans(scopeSpans(span(...spanContent)));
}
