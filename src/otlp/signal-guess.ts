/**
 * Tells logs and metrics that were sent as traces. The field numbers of the three signals coincide,
 * so plain logs decode as spans without ids, while others fail somewhere deep inside.
 */
import { isUtf8 } from 'node:buffer';
import { eachField, type Range } from './fields.ts';
import type { SignalName } from './signals.ts';
import { WireFault, wire } from './wire-reader.ts';

type Shape = {
  readonly signal: SignalName;
  /** Wire type by field number, of `LogRecord` and `Metric` (OTLP 1.11). */
  readonly fields: ReadonlyMap<number, number>;
  /** One of these numbers has to be there for a record to count as a sign. */
  readonly telling: readonly number[];
};

const { varint, fixed64, bytes: delimited, fixed32 } = wire;

const shapes: readonly Shape[] = [
  {
    signal: 'logs',
    fields: new Map([
      [1, fixed64], // time
      [2, varint], // severity number
      [3, delimited], // severity text
      [5, delimited], // body
      [6, delimited], // attributes
      [7, varint], // dropped attributes
      [8, fixed32], // flags
      [9, delimited], // trace id
      [10, delimited], // span id
      [11, fixed64], // observed time
      [12, delimited], // event name
    ]),
    telling: [1, 2, 11],
  },
  {
    signal: 'metrics',
    fields: new Map([
      [1, delimited], // name
      [2, delimited], // description
      [3, delimited], // unit
      [5, delimited], // gauge
      [7, delimited], // sum
      [9, delimited], // histogram
      [10, delimited], // exponential histogram
      [11, delimited], // summary
      [12, delimited], // metadata
    ]),
    telling: [5, 7, 9, 10, 11],
  },
];

const resourceTag = (1 << 3) | wire.bytes;
const scopeTag = (2 << 3) | wire.bytes;
const itemTag = (2 << 3) | wire.bytes;

/** The signal whose records these bytes hold; undefined if every record is not plainly of one. */
export function guessSignal(message: Buffer): SignalName | undefined {
  return shapes.find((shape) => holdsOnly(message, shape))?.signal;
}

function holdsOnly(message: Buffer, shape: Shape): boolean {
  let fits = true;
  let signs = 0;
  try {
    eachField(message, { start: 0, end: message.length }, (tag, resource) => {
      if (tag !== resourceTag) return;
      eachField(message, resource, (scopeFieldTag, scope) => {
        if (scopeFieldTag !== scopeTag) return;
        eachField(message, scope, (itemFieldTag, item) => {
          if (itemFieldTag !== itemTag || !fits) return;
          const sign = readItem(message, item, shape);
          if (sign === undefined) fits = false;
          else signs += sign;
        });
      });
    });
  } catch (thrown) {
    if (!(thrown instanceof WireFault)) throw thrown;
    return false;
  }
  return fits && signs > 0;
}

/** How many telling fields a record has; undefined if a field contradicts the shape. */
function readItem(message: Buffer, item: Range, shape: Shape): number | undefined {
  let signs = 0;
  let contradicts = false;
  eachField(message, item, (tag, { start, end }) => {
    const number = tag >>> 3;
    const expected = shape.fields.get(number);
    if (expected === undefined) return;
    if (expected !== (tag & 7)) contradicts = true;
    // A metric's name is text where a span's trace id is random bytes.
    if (tag === resourceTag && !isUtf8(message.subarray(start, end))) contradicts = true;
    if (shape.telling.includes(number)) signs += 1;
  });
  return contradicts ? undefined : signs;
}
