/**
 * One request under way, whatever its protocol: the head that ingest sees, its deadline, its room
 * in memory, and the promise that it is answered exactly once.
 */
import { randomUUID } from 'node:crypto';
import { GatewayError } from '../core/errors.ts';
import type { Credentials, IncomingBody, IncomingRequest, LimitState } from '../core/incoming.ts';
import type { ClientAddressOf } from './client-address.ts';
import type { ReceiverOptions } from './receiver.ts';
import { type Admission, Room } from './room.ts';

/** What all requests of one receiver share. */
export type Shared = {
  readonly options: ReceiverOptions;
  readonly admission: Admission;
  readonly clientAddressOf: ClientAddressOf;
  stopping: boolean;
  /** Requests whose work is not done. */
  active: number;
  /** Called when `active` falls to 0. */
  onIdle: (() => void) | undefined;
};

export type Head = {
  readonly protocol: 'grpc' | 'http';
  readonly peer: string;
  readonly credentials: Credentials;
  readonly platformHeader: string | undefined;
  readonly requestId: string | undefined;
  /** Milliseconds that the client itself is willing to wait; undefined if it did not say. */
  readonly timeoutMs: number | undefined;
};

/** What a protocol supplies. Neither may be called more than once. */
export type Wire = {
  readBody(room: Room): Promise<IncomingBody>;
  refuse(error: GatewayError): void;
  /** Closes this one stream at once, answered or not. */
  cut(): void;
};

/** For what a listener throws, which would end the process: it costs its one stream instead. */
export function refuseOrCut(thrown: unknown, wire: Pick<Wire, 'refuse' | 'cut'>): void {
  try {
    wire.refuse(GatewayError.from(thrown));
  } catch {
    wire.cut();
  }
}

const none: readonly LimitState[] = [];

export class Exchange implements IncomingRequest {
  readonly protocol: 'grpc' | 'http';
  readonly peer: string;
  readonly credentials: Credentials;
  readonly platformHeader: string | undefined;
  readonly requestId: string | undefined;
  readonly gatewayRequestId = randomUUID();
  readonly deadlineAtMs: number;
  readonly #shared: Shared;
  readonly #wire: Wire;
  readonly #room: Room;
  readonly #cancelDeadline: () => void;
  #rejectRead: ((error: GatewayError) => void) | undefined;
  #answered = false;
  #limits: (() => readonly LimitState[]) | undefined;

  constructor(shared: Shared, head: Head, wire: Wire) {
    const { options } = shared;
    this.protocol = head.protocol;
    this.peer = head.peer;
    this.credentials = head.credentials;
    this.platformHeader = head.platformHeader;
    this.requestId = head.requestId;
    this.#shared = shared;
    this.#wire = wire;
    this.#room = new Room(shared.admission);
    const timeoutMs = Math.min(options.requestDeadlineMs, head.timeoutMs ?? Infinity);
    this.deadlineAtMs = options.clock.monotonicMs() + timeoutMs;
    this.#cancelDeadline = options.clock.after(timeoutMs, () => this.abort(late()));
  }

  readBody(): Promise<IncomingBody> {
    // Nobody would end a read that starts behind the answer.
    if (this.#answered) return Promise.reject(late());
    return new Promise((resolve, reject) => {
      this.#rejectRead = reject;
      this.#wire.readBody(this.#room).then((body) => {
        this.#rejectRead = undefined;
        resolve(body);
      }, reject);
    });
  }

  limitedBy(read: () => readonly LimitState[]): void {
    this.#limits = read;
  }

  /** Of the key, as they are now; none if the key is not known, or not limited. */
  get limits(): readonly LimitState[] {
    return this.#limits?.() ?? none;
  }

  /** Runs the journey and answers with its result, unless the deadline was faster. */
  async run<Result>(
    journey: (request: IncomingRequest) => Promise<Result>,
    succeed: (result: Result) => void,
  ): Promise<void> {
    const shared = this.#shared;
    let claimed = false;
    shared.active += 1;
    try {
      if (shared.stopping) throw stopping();
      const result = await journey(this);
      // The room is held while anything may use the bytes, be the deadline's answer out or not.
      this.#room.close();
      claimed = this.#claim();
      if (claimed) succeed(result);
    } catch (thrown) {
      this.#room.close();
      // A result that cannot be written is a fault of ours, and still gets an answer.
      if (claimed || this.#claim()) this.#refuse(GatewayError.from(thrown));
    } finally {
      shared.active -= 1;
      if (shared.active === 0) shared.onIdle?.();
    }
  }

  refuse(error: GatewayError): void {
    if (this.#claim()) this.#refuse(error);
  }

  /** Ends a read that is under way, so that ingest unwinds and names the key; else answers. */
  abort(error: GatewayError): void {
    const rejectRead = this.#rejectRead;
    if (rejectRead === undefined) {
      this.refuse(error);
      return;
    }
    this.#rejectRead = undefined;
    this.#room.close();
    rejectRead(error);
  }

  get answered(): boolean {
    return this.#answered;
  }

  #refuse(error: GatewayError): void {
    this.#shared.options.observability.refusals.record(error, this);
    refuseOrCut(error, this.#wire);
  }

  #claim(): boolean {
    if (this.#answered) return false;
    this.#answered = true;
    this.#cancelDeadline();
    return true;
  }
}

function late(): GatewayError {
  return new GatewayError(
    'deadline_exceeded',
    'send smaller batches, or send again later: the request was not done by its deadline',
  );
}

function stopping(): GatewayError {
  return new GatewayError('shutting_down', 'send it again: this gateway is shutting down');
}
