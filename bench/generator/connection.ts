import { connect, type Socket } from "node:net";
import { Call, type CallHandlers } from "./call.js";
import { FrameReader } from "./frame-reader.js";
import {
  CLIENT_PREFACE,
  encodeFrame,
  encodeGrpcMessage,
  Flag,
  FrameType,
  SETTINGS_ACK,
} from "./frames.js";
import { HeaderDecoder, HeaderEncoder } from "./hpack.js";
import type { Header } from "./hpack-table.js";

export interface Target {
  readonly port: number;
  /** Bearer token, sent with every call. */
  readonly token: string;
  /** An echo returns each message as it came: its answers are counted, not read. */
  readonly isEcho: boolean;
}

export interface ConnectionEvents {
  /** TCP is connected; calls may be made before it. */
  readonly onConnect?: () => void;
  /** It broke by itself; its calls have ended with the same problem. */
  readonly onBreak?: (problem: string) => void;
}

/** All connections read into the same memory: what is not read yet is copied out. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);

/**
 * One HTTP/2 connection that carries gRPC calls, with as little work as can be:
 * it is to use less of its core than the server does of its own. It minds no flow
 * control when it sends: its load is closed-loop and stays far below any window.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #encoder = new HeaderEncoder();
  readonly #decoder = new HeaderDecoder();
  readonly #calls = new Map<number, Call>();
  readonly #reader = new FrameReader((type, flags, streamId, payload) =>
    this.#receive(type, flags, streamId, payload),
  );
  readonly #target: Target;
  readonly #events: ConnectionEvents;
  readonly #authority: string;
  #nextStreamId = 1;
  #unsent: Buffer[] = [CLIENT_PREFACE];
  /** Until connected and while frames are read, output is gathered for one write. */
  #isGathering = true;
  #closed: string | undefined;

  constructor(target: Target, events: ConnectionEvents = {}) {
    this.#target = target;
    this.#events = events;
    this.#authority = `127.0.0.1:${target.port}`;
    this.#socket = connect({
      host: "127.0.0.1",
      port: target.port,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (length, buffer) => {
          this.#read((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.on("connect", () => {
      events.onConnect?.();
      this.#flush();
    });
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#break(error.code ?? "error"));
    this.#socket.on("close", () => this.#break("connection closed"));
  }

  /** A call with one request and no more. */
  callOnce(path: string, message: Uint8Array, handlers: CallHandlers): void {
    const call = this.#open(path, handlers);
    if (call) this.#sendMessage(call, message, Flag.endStream);
  }

  /** A call whose requests follow, by `send`; it leaves with the first of them. */
  openStream(path: string, handlers: CallHandlers): Call | undefined {
    return this.#open(path, handlers);
  }

  send(call: Call, message: Uint8Array): void {
    this.#sendMessage(call, message, 0);
  }

  /** Its calls do not hear of it. */
  close(): void {
    this.#calls.clear();
    this.#closed = "closed";
    this.#socket.destroy();
  }

  #open(path: string, handlers: CallHandlers): Call | undefined {
    if (this.#closed !== undefined) {
      handlers.onEnd(this.#closed);
      return undefined;
    }
    const call = new Call(this.#nextStreamId, handlers);
    this.#nextStreamId += 2;
    this.#calls.set(call.streamId, call);
    const block = this.#encoder.encode(path, this.#requestHeaders(path));
    this.#send(encodeFrame(FrameType.headers, Flag.endHeaders, call.streamId, block));
    return call;
  }

  #sendMessage(call: Call, message: Uint8Array, flags: number): void {
    this.#send(encodeFrame(FrameType.data, flags, call.streamId, encodeGrpcMessage(message)));
    if (!this.#isGathering) this.#flush();
  }

  /** What grpc-js sends, in its order. */
  #requestHeaders(path: string): Header[] {
    return [
      { name: ":method", value: "POST" },
      { name: ":scheme", value: "http" },
      { name: ":path", value: path },
      { name: ":authority", value: this.#authority },
      { name: "authorization", value: `Bearer ${this.#target.token}` },
      { name: "content-type", value: "application/grpc" },
      { name: "te", value: "trailers" },
      { name: "grpc-accept-encoding", value: "identity,deflate,gzip" },
      { name: "user-agent", value: "grpc-node-js/1.14.7" },
    ];
  }

  #send(frame: Buffer): void {
    this.#unsent.push(frame);
  }

  #flush(): void {
    this.#isGathering = false;
    if (this.#unsent.length === 0 || this.#closed !== undefined) return;
    const frames = this.#unsent;
    this.#unsent = [];
    this.#socket.write(Buffer.concat(frames));
  }

  #read(chunk: Buffer): void {
    this.#isGathering = true;
    this.#reader.read(chunk);
    this.#flush();
  }

  #receive(type: number, flags: number, streamId: number, payload: Buffer): void {
    if (streamId === 0) this.#receiveControl(type, flags, payload);
    else if (type === FrameType.headers) this.#receiveHeaders(flags, streamId, payload);
    else if (type === FrameType.data) this.#calls.get(streamId)?.data(payload);
    else if (type === FrameType.rstStream)
      this.#take(streamId)?.break(`RST_STREAM ${payload.readUInt32BE(0)}`);
    const hasFlags = type === FrameType.headers || type === FrameType.data;
    if (hasFlags && flags & Flag.endStream) this.#take(streamId)?.end();
  }

  #receiveControl(type: number, flags: number, payload: Buffer): void {
    if (type === FrameType.goaway) this.#break(`GOAWAY ${payload.readUInt32BE(4)}`);
    else if (type === FrameType.settings && !(flags & Flag.ack)) this.#send(SETTINGS_ACK);
    else if (type === FrameType.ping && !(flags & Flag.ack))
      this.#send(encodeFrame(FrameType.ping, Flag.ack, 0, payload));
  }

  /** Node sends neither padding nor CONTINUATION for headers as small as gRPC's. */
  #receiveHeaders(flags: number, streamId: number, payload: Buffer): void {
    if (!(flags & Flag.endHeaders) || flags & (Flag.padded | Flag.priority))
      this.#break("a header block this generator cannot read");
    else {
      const headers = this.#decoder.decode(payload); // also of calls that are gone: it keeps a table
      this.#calls.get(streamId)?.headers(headers);
    }
  }

  #take(streamId: number): Call | undefined {
    const call = this.#calls.get(streamId);
    this.#calls.delete(streamId);
    return call;
  }

  #break(problem: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = problem;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.break(problem);
    this.#events.onBreak?.(problem);
    this.#socket.destroy();
  }
}
