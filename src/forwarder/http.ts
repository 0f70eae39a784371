/**
 * One POST to the downstream over kept connections. Everything that can go wrong on the way is an
 * answer of the kind `unanswered`; nothing here throws or rejects.
 */
import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../core/clock.ts';
import type { Metrics } from '../observability/observability.ts';
import { Exchange, joined } from './exchange.ts';

export type Http = {
  post(request: HttpRequest): Promise<Answer>;
  /** Ends what is under way as `unanswered`. */
  close(): Promise<void>;
};

export type HttpRequest = {
  readonly path: string;
  /** Names and values in turn; with the content length. */
  readonly headers: string[];
  readonly pieces: readonly Buffer[];
  /** From now to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Of the answer's body; a longer one is cut off there. */
  readonly answerBytesMax: number;
};

export type Answer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly contentType: string;
      readonly retryAfter: string | undefined;
      readonly body: Buffer;
      /** The body is only the beginning of it. */
      readonly tooLong: boolean;
    }
  /** `reason` is short and public: `timeout`, `ECONNREFUSED`, … */
  | {
      readonly kind: 'unanswered';
      readonly reason: string;
      /** It had a connection. */
      readonly reached: boolean;
    };

export type HttpOptions = {
  readonly endpoint: string;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
};

export function createHttp(options: HttpOptions): Http {
  const pool = new Pool(new URL(options.endpoint).origin, {
    connections: options.connections,
    connectTimeout: options.timeoutMs,
    // One timer per exchange bounds all of it.
    headersTimeout: 0,
    bodyTimeout: 0,
    // Over one HTTP/2 connection a lost packet would hold up every agent.
    allowH2: false,
  });
  return {
    post: (request) =>
      new Promise((resolve) => {
        const exchange = new Exchange(request, options, resolve);
        pool.dispatch(
          {
            method: 'POST',
            path: request.path,
            headers: request.headers,
            body: outgoing(request.pieces),
          },
          exchange,
        );
      }),
    close: () => pool.destroy(new Error('the gateway is stopping')),
  };
}

/**
 * Pieces of at least this many bytes on average are written to the socket one by one: measured,
 * from here on that costs less than copying them together, and no second body of memory.
 */
const separateBytesMin = 16 * 1024;

type OutgoingBody = NonNullable<Dispatcher.DispatchOptions['body']>;

function outgoing(pieces: readonly Buffer[]): OutgoingBody {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (pieces.length < 2 || bytes < separateBytesMin * pieces.length) return joined(pieces);
  // undici takes any iterable of buffers, which its types do not say.
  return pieces as unknown as OutgoingBody;
}
