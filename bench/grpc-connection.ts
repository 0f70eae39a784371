/** One HTTP/2 connection of the load: sends requests on streams, reads what ends them. */
import { connect, type Socket } from 'node:net';
import {
  frame,
  frameFlag,
  frameHeadBytes,
  frameType,
  grpcStatusIn,
  preface,
  requestHeads,
  settingId,
  settingsFrame,
  windowMax,
  windowUpdateFrame,
  writeFrameHead,
} from './http2-wire.ts';
import type { Feeder } from './load-client.ts';

export type GrpcConnectionOptions = {
  readonly port: number;
  readonly fields: readonly (readonly [string, string])[];
  /** With their 5-byte prefix. */
  readonly messages: readonly Buffer[];
};

export type GrpcConnection = {
  /** Keeps `streams` requests under way until the feeder has no more. */
  start(feeder: Feeder, streams: number): void;
  /** Nothing can be sent on it any more: the peer has closed it, or is about to. */
  readonly ended: boolean;
  close(): void;
};

type Request = {
  readonly index: number;
  readonly sentAtMs: number;
  readonly message: Buffer;
  sentBytes: number;
  windowBytes: number;
};

/** Resolves once the peer has said what it grants. */
export function openGrpcConnection(options: GrpcConnectionOptions): Promise<GrpcConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    const connection = new Connection(socket, options, () => resolve(connection));
    socket.once('error', reject);
  });
}

class Connection implements GrpcConnection {
  private readonly socket: Socket;
  private readonly heads: { first: Buffer; later: Buffer };
  private readonly messages: readonly Buffer[];
  private readonly requests = new Map<number, Request>();
  private readonly onSettings: () => void;
  ended = false;
  private feeder: Feeder | undefined;
  private nextStream = 1;
  private unread: Buffer = Buffer.alloc(0);
  private windowBytes = 65_535;
  private streamWindowBytes = 65_535;
  private frameBytesMax = 16_384;

  constructor(socket: Socket, options: GrpcConnectionOptions, onSettings: () => void) {
    this.socket = socket;
    this.heads = requestHeads(options.fields);
    this.messages = options.messages;
    this.onSettings = onSettings;
    const settings = settingsFrame([
      // Without a table each answer says its status in full; see `grpcStatusIn`.
      [settingId.headerTableSize, 0],
      [settingId.enablePush, 0],
      [settingId.initialWindowSize, windowMax],
    ]);
    const grant = windowUpdateFrame(windowMax - 65_535);
    socket.write(Buffer.concat([preface, settings, grant]));
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('close', () => this.failAll('closed'));
    socket.on('error', () => {});
  }

  start(feeder: Feeder, streams: number): void {
    this.feeder = feeder;
    this.socket.cork();
    for (let count = 0; count < streams; count += 1) this.sendNext();
    this.socket.uncork();
  }

  close(): void {
    this.socket.destroy();
  }

  private sendNext(): void {
    const sentAtMs = performance.now();
    const index = this.feeder?.next(sentAtMs);
    if (index === undefined) return;
    const stream = this.nextStream;
    const block = stream === 1 ? this.heads.first : this.heads.later;
    this.nextStream += 2;
    const message = this.messages[index] as Buffer;
    const request = {
      index,
      sentAtMs,
      message,
      sentBytes: 0,
      windowBytes: this.streamWindowBytes,
    };
    this.requests.set(stream, request);
    const { headers: type } = frameType;
    this.socket.write(frame({ type, flags: frameFlag.endHeaders, stream }, block));
    this.sendData(stream, request);
  }

  private sendData(stream: number, request: Request): void {
    const { message } = request;
    while (request.sentBytes < message.length) {
      const bytes = Math.min(
        message.length - request.sentBytes,
        this.frameBytesMax,
        this.windowBytes,
        request.windowBytes,
      );
      if (bytes <= 0) return;
      const end = request.sentBytes + bytes;
      const flags = end === message.length ? frameFlag.endStream : 0;
      const head = Buffer.allocUnsafe(frameHeadBytes);
      writeFrameHead(head, 0, { type: frameType.data, flags, stream, bytes });
      this.socket.write(head);
      this.socket.write(message.subarray(request.sentBytes, end));
      request.sentBytes = end;
      request.windowBytes -= bytes;
      this.windowBytes -= bytes;
    }
  }

  /** Frames may be cut anywhere; all that they start goes out as one write. */
  private read(chunk: Buffer): void {
    const bytes = this.unread.length === 0 ? chunk : Buffer.concat([this.unread, chunk]);
    this.socket.cork();
    let at = 0;
    while (at + frameHeadBytes <= bytes.length) {
      const end = at + frameHeadBytes + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const content = bytes.subarray(at + frameHeadBytes, end);
      this.onFrame(bytes[at + 3] as number, bytes[at + 4] as number, {
        stream: bytes.readUInt32BE(at + 5) & windowMax,
        content,
      });
      at = end;
    }
    this.socket.uncork();
    this.unread = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  private onFrame(type: number, flags: number, rest: { stream: number; content: Buffer }): void {
    const { stream, content } = rest;
    if (type === frameType.headers) {
      if ((flags & frameFlag.endStream) !== 0) this.onEnd(stream, grpcStatusIn(content));
    } else if (type === frameType.windowUpdate) {
      this.onWindow(stream, content.readUInt32BE() & windowMax);
    } else if (type === frameType.settings) {
      if ((flags & frameFlag.ack) === 0) this.onPeerSettings(content);
    } else if (type === frameType.ping) {
      if ((flags & frameFlag.ack) !== 0) return;
      this.socket.write(frame({ type, flags: frameFlag.ack, stream: 0 }, content));
    } else if (type === frameType.rstStream) {
      // After an early answer this only says that the rest is not wanted.
      if (this.requests.has(stream)) this.settle(stream, 'reset');
    } else if (type === frameType.goAway) {
      this.failAll('goaway');
    }
  }

  private onEnd(stream: number, status: number | undefined): void {
    this.settle(stream, status === undefined ? 'grpc error' : `grpc ${status}`);
  }

  private settle(stream: number, status: string): void {
    const request = this.requests.get(stream);
    if (request === undefined) return;
    this.requests.delete(stream);
    this.feeder?.answered(status, status === 'grpc 0', request);
    this.sendNext();
  }

  private onWindow(stream: number, increment: number): void {
    const request = this.requests.get(stream);
    if (stream === 0) this.windowBytes += increment;
    else if (request !== undefined) request.windowBytes += increment;
    if (stream !== 0 && request !== undefined) this.sendData(stream, request);
    if (stream !== 0) return;
    for (const [waiting, blocked] of this.requests) this.sendData(waiting, blocked);
  }

  private onPeerSettings(content: Buffer): void {
    for (let at = 0; at < content.length; at += 6) {
      const id = content.readUInt16BE(at);
      const value = content.readUInt32BE(at + 2);
      if (id === settingId.maxFrameSize) this.frameBytesMax = value;
      if (id === settingId.initialWindowSize) this.streamWindowBytes = value;
      if (id === settingId.headerTableSize && value < 4096) this.socket.destroy();
    }
    const { settings: type } = frameType;
    this.socket.write(frame({ type, flags: frameFlag.ack, stream: 0 }, Buffer.alloc(0)));
    this.onSettings();
  }

  /** Nothing more can be sent here; the row fails by this count. */
  private failAll(status: string): void {
    const { feeder } = this;
    this.ended = true;
    this.feeder = undefined;
    for (const request of this.requests.values()) feeder?.answered(status, false, request);
    this.requests.clear();
  }
}
