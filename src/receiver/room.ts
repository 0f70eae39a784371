/**
 * The room in memory that one request has been granted from the shared budget.
 *
 * Invariant: what was taken is given back exactly once, at `close`, whoever calls it and however
 * often; nothing can be taken after that, so a request that is over stops growing by itself.
 */
import type { Budget } from '../core/budget.ts';
import { GatewayError } from '../core/errors.ts';

/** One wording for every limit on size, on the wire and inflated. */
export function tooLarge(bytesMax: number): GatewayError {
  const limit = bytesMax >= mebibyte ? `${Math.floor(bytesMax / mebibyte)} MiB` : `${bytesMax} B`;
  return new GatewayError(
    'payload_too_large',
    `send smaller batches: payload too large, at most ${limit} are accepted`,
  );
}

const mebibyte = 1024 * 1024;

/** How all requests of a receiver come to their room. */
export type Admission = {
  readonly budget: Budget;
  readonly waitMs: number;
  /**
   * How many may wait at a time. Each may hold unread bytes in its connection meanwhile, which no
   * budget covers.
   */
  readonly waitersMax: number;
  waiters: number;
};

const waitersMin = 8;

/** Waiters hold at most `unreadBytesMax` each, and together an eighth of the budget or so. */
export function createAdmission(
  budget: Budget,
  limits: { readonly waitMs: number; readonly unreadBytesMax: number },
): Admission {
  const fair = Math.floor(budget.bytesMax / 8 / limits.unreadBytesMax);
  return { budget, waitMs: limits.waitMs, waitersMax: Math.max(waitersMin, fair), waiters: 0 };
}

export class Room {
  readonly #admission: Admission;
  readonly #budget: Budget;
  #takenBytes = 0;
  #closed = false;

  constructor(admission: Admission) {
    this.#admission = admission;
    this.#budget = admission.budget;
  }

  /** Undefined when the bytes are granted at once; else a promise that may reject. */
  take(bytes: number): Promise<void> | undefined {
    if (this.#closed) throw over();
    this.mustFit(this.#takenBytes + bytes);
    if (!this.#budget.tryReserve(bytes)) return this.#takeLater(bytes);
    this.#takenBytes += bytes;
    return undefined;
  }

  async #takeLater(bytes: number): Promise<void> {
    const admission = this.#admission;
    if (admission.waiters >= admission.waitersMax) throw overloaded();
    admission.waiters += 1;
    try {
      await this.#budget.reserve(bytes, admission.waitMs);
    } finally {
      admission.waiters -= 1;
    }
    if (this.#closed) {
      this.#budget.release(bytes);
      throw over();
    }
    this.#takenBytes += bytes;
  }

  /** Throws for what could wait for ever: it does not fit even when the request is alone. */
  mustFit(bytes: number): void {
    if (bytes > this.#budget.bytesMax) throw tooLarge(this.#budget.bytesMax);
  }

  giveBack(bytes: number): void {
    if (this.#closed) return;
    this.#takenBytes -= bytes;
    this.#budget.release(bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#takenBytes > 0) this.#budget.release(this.#takenBytes);
    this.#takenBytes = 0;
  }

  get closed(): boolean {
    return this.#closed;
  }
}

/** Never sent: whoever closed the room has answered the request, or there is nobody to answer. */
function over(): GatewayError {
  return new GatewayError('deadline_exceeded', 'send it again: the request was over');
}

function overloaded(): GatewayError {
  return new GatewayError('overloaded', 'send it again shortly: the gateway is busy');
}
