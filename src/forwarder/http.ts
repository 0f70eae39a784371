/**
 * One POST to the downstream over kept connections. Everything that can go wrong on the way is an
 * answer of the kind `unanswered`; nothing here throws or rejects.
 */
import { type Dispatcher, Pool } from 'undici';
import type { Clock } from '../core/clock.ts';
import type { Metrics } from '../observability/observability.ts';

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

/** The state of one exchange; ends once, whatever comes first. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: HttpRequest;
  readonly #options: HttpOptions;
  readonly #resolve: (answer: Answer) => void;
  readonly #startedAtMs: number;
  readonly #cancelTimer: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #ended = false;
  #status = 0;
  #contentType = '';
  #retryAfter: string | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(request: HttpRequest, options: HttpOptions, resolve: (answer: Answer) => void) {
    this.#request = request;
    this.#options = options;
    this.#resolve = resolve;
    this.#startedAtMs = options.clock.monotonicMs();
    this.#cancelTimer = options.clock.after(request.timeoutMs, () => {
      this.#end(this.#unanswered('timeout'));
      this.#controller?.abort(new Error('timeout'));
    });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It may have timed out while it waited for a connection.
    if (this.#ended) controller.abort(new Error('timeout'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // Interim answers (1xx) come before the one that counts.
    if (status < 200) return;
    this.#status = status;
    this.#contentType = firstOf(headers['content-type']) ?? '';
    this.#retryAfter = firstOf(headers['retry-after']);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const { answerBytesMax } = this.#request;
    if (this.#bytes <= answerBytesMax) return;
    this.#end(this.#answered(joined(this.#chunks).subarray(0, answerBytesMax), true));
    controller.abort(new Error('the answer is too long'));
  }

  onResponseEnd(): void {
    this.#end(this.#answered(joined(this.#chunks), false));
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const reason = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
    this.#end(this.#unanswered(reason));
  }

  #unanswered(reason: string): Answer {
    return { kind: 'unanswered', reason, reached: this.#controller !== undefined };
  }

  #answered(body: Buffer, tooLong: boolean): Answer {
    return {
      kind: 'answered',
      status: this.#status,
      contentType: this.#contentType,
      retryAfter: this.#retryAfter,
      body,
      tooLong,
    };
  }

  #end(answer: Answer): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.#chunks = [];
    const { clock, metrics } = this.#options;
    const seconds = (clock.monotonicMs() - this.#startedAtMs) / 1000;
    metrics.attempt(answer.kind === 'answered' ? answer.status : 0, seconds);
    this.#resolve(answer);
  }
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
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

function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}
