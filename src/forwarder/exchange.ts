/** The state of one request and its answer, as undici reports it. */
import type { Dispatcher } from 'undici';
import type { Answer, HttpOptions, HttpRequest } from './http.ts';

/** Ends once, whatever comes first. */
export class Exchange implements Dispatcher.DispatchHandler {
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

/** One piece stays as it is. */
export function joined(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}
