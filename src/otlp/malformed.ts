/**
 * The hints for bodies that are refused. Runs only once a body is known to be bad, so it may look
 * closely: most such bodies are good ones in the wrong place.
 */
import { GatewayError } from '../core/errors.ts';
import { eachField, type Range } from './fields.ts';
import { guessSignal } from './signal-guess.ts';
import { type SignalName, signals } from './signals.ts';
import { WireFault, wire } from './wire-reader.ts';

/** Turns what the walk threw into what the sender sees. */
export function malformedExport(message: Buffer, thrown: unknown): unknown {
  if (!(thrown instanceof WireFault)) return thrown;
  const fix = fixByMagic(message) ?? fixBySignal(message) ?? 'send a valid protobuf trace export';
  return new GatewayError('malformed', `${fix} (${thrown.message})`, { cause: thrown });
}

/** The first bytes of what people send by mistake. */
const magics: readonly { readonly bytes: readonly number[]; readonly fix: string }[] = [
  { bytes: [0x1f, 0x8b], fix: missingEncoding('gzip') },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], fix: missingEncoding('zstd') },
  { bytes: [0x78, 0x9c], fix: missingEncoding('deflate') },
  { bytes: [0x7b], fix: 'set Content-Type: application/json: the body is JSON, not protobuf' },
];

function missingEncoding(name: string): string {
  return `set Content-Encoding: ${name} (in gRPC: grpc-encoding): the body is compressed`;
}

function fixByMagic(message: Buffer): string | undefined {
  return magics.find(({ bytes }) => bytes.every((byte, index) => message[index] === byte))?.fix;
}

function fixBySignal(message: Buffer): string | undefined {
  const name = guessSignal(message);
  return name && fixFor(name);
}

function fixFor(name: SignalName): string {
  const { cure } = signals[name];
  return `${cure}, or send ${name} elsewhere: this body holds ${name}, not traces`;
}

/** A body of another signal; `why` says how it shows. */
export function wrongSignal(name: SignalName, why: string): GatewayError {
  return new GatewayError('malformed', `${fixFor(name)} (${why})`);
}

/** `spanAt` is where the content of the first span with an id of a wrong length begins. */
export function malformedIds(message: Buffer, spanAt: number): GatewayError {
  const { path, wrong } = describeSpan(message, spanAt);
  const known = fixBySignal(message);
  if (known) return new GatewayError('malformed', `${known} (${path} has ${wrong})`);
  // Both causes come first: some exporters show no more than 120 characters.
  return new GatewayError(
    'malformed',
    'give every span a trace id of 16 bytes and a span id of 8 (logs or metrics sent as traces ' +
      `look like this too): ${path} at byte ${spanAt} has ${wrong}. If these are logs or ` +
      `metrics, ${signals.logs.cure} and ${signals.metrics.cure}, or send them elsewhere`,
  );
}

/** `resourceAt` is where the content of the first resource with such a field begins. */
export function removedScopes(message: Buffer, resourceAt: number): GatewayError {
  let found = 0;
  const whole = { start: 0, end: message.length };
  eachOf(message, { range: whole, tag: resourceSpansTag }, ({ start }, index) => {
    if (start === resourceAt) found = index;
  });
  return new GatewayError(
    'malformed',
    'update the exporter: instrumentation_library_spans was removed from OTLP, scope_spans came ' +
      `in its place (resourceSpans[${found}] has field 1000)`,
  );
}

/** A message that decodes, as any does of which every field is unknown. */
export function noExport(message: Buffer): GatewayError {
  const fix = fixByMagic(message) ?? 'send a trace export: this protobuf has no resource_spans';
  return new GatewayError('malformed', fix);
}

// Fields that lead from the request down to a span's ids.
const resourceSpansTag = (1 << 3) | wire.bytes;
const scopeSpansTag = (2 << 3) | wire.bytes;
const spanTag = (2 << 3) | wire.bytes;
const idTags = { trace: (1 << 3) | wire.bytes, span: (2 << 3) | wire.bytes, parent: (4 << 3) | 2 };

function describeSpan(message: Buffer, spanAt: number): { path: string; wrong: string } {
  let described = { path: '', wrong: '' };
  const whole = { start: 0, end: message.length };
  eachOf(message, { range: whole, tag: resourceSpansTag }, (resource, resourceIndex) =>
    eachOf(message, { range: resource, tag: scopeSpansTag }, (scope, scopeIndex) =>
      eachOf(message, { range: scope, tag: spanTag }, (span, spanIndex) => {
        if (span.start !== spanAt || described.path !== '') return;
        const scopePath = `resourceSpans[${resourceIndex}].scopeSpans[${scopeIndex}]`;
        described = { path: `${scopePath}.spans[${spanIndex}]`, wrong: wrongIds(message, span) };
      }),
    ),
  );
  return described;
}

type Wanted = { readonly range: Range; readonly tag: number };

function eachOf(
  message: Buffer,
  wanted: Wanted,
  visit: (content: Range, index: number) => void,
): void {
  let index = 0;
  eachField(message, wanted.range, (tag, content) => {
    if (tag !== wanted.tag) return;
    visit(content, index);
    index += 1;
  });
}

function wrongIds(message: Buffer, span: Range): string {
  const bytesOf = new Map<number, number>();
  eachField(message, span, (tag, { start, end }) => bytesOf.set(tag, end - start));
  const trace = bytesOf.get(idTags.trace) ?? 0;
  const own = bytesOf.get(idTags.span) ?? 0;
  if (trace !== 16) return trace === 0 ? 'no trace id' : `a trace id of ${trace} bytes`;
  if (own !== 8) return own === 0 ? 'no span id' : `a span id of ${own} bytes`;
  return `a parent span id of ${bytesOf.get(idTags.parent) ?? 0} bytes`;
}
