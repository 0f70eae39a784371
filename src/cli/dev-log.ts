/**
 * The log of `dev`: a comment for each line, between the traces that arrive.
 *
 *   # 22:24:31  refused  invalid_api_key  http  use another API key: …
 *   # 22:24:40  warn  the downstream did not take a delivery  …
 */
import { harmless } from './harmless.ts';

type LogLine = Readonly<Record<string, unknown>>;

/** The destination of a log; `write` gets whole lines. */
export function createDevLog(write: (line: string) => void): { write(line: string): void } {
  return {
    write(line) {
      const time = new Date().toTimeString().slice(0, 8);
      const words = wordsOf(line).map(harmless).filter(Boolean);
      write(`# ${[time, ...words].join('  ')}\n`);
    },
  };
}

function wordsOf(line: string): string[] {
  const parsed = parse(line);
  if (parsed === undefined) return [line.trim()];
  const { level, msg, kind, protocol, hint, reason, suppressed, err, cause } = parsed;
  const isRefusal = msg === 'request refused';
  const words = isRefusal ? ['refused', kind, protocol, hint] : [level, msg, reason, hint];
  const fault = ((err ?? cause) as LogLine | undefined)?.message;
  const more = Number(suppressed) > 0 ? `and ${suppressed} more before` : '';
  return [...words, fault, more].filter((word) => typeof word === 'string');
}

function parse(line: string): LogLine | undefined {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined;
  }
}
