import { create, createFileRegistry, type DescMethod, type DescService } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/lib/clock.js";
import type { WireLimits } from "../../src/wire/limits.js";
import {
  type HandshakeFailure,
  type Mount,
  mount,
  startServer,
  type TlsCredentials,
  type WireServer,
} from "../../src/wire/server.js";

/** The one message of the toy service. */
export type Note = { readonly text: string };

const NOTE = ".toy.Note";
const method = (name: string, clientStreaming: boolean, serverStreaming: boolean) => ({
  name,
  inputType: NOTE,
  outputType: NOTE,
  clientStreaming,
  serverStreaming,
});

/** A service with one method of each kind: no real one here has a client stream. */
export const TOY: DescService = (() => {
  const file = create(FileDescriptorProtoSchema, {
    name: "toy.proto",
    package: "toy",
    syntax: "proto3",
    messageType: [
      {
        name: "Note",
        field: [
          {
            name: "text",
            number: 1,
            jsonName: "text",
            type: FieldDescriptorProto_Type.STRING,
            label: FieldDescriptorProto_Label.OPTIONAL,
          },
        ],
      },
    ],
    service: [
      {
        name: "Toy",
        method: [
          method("Ask", false, false),
          method("Watch", false, true),
          method("Collect", true, false),
          method("Chat", true, true),
        ],
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const service = registry.getService("toy.Toy");
  if (!service) throw new Error("the toy service is broken");
  return service;
})();

export function toyMethod(name: "Ask" | "Watch" | "Collect" | "Chat"): DescMethod {
  const found = TOY.methods.find((candidate) => candidate.name === name);
  if (!found) throw new Error(name);
  return found;
}

/** What a test lets the toy service do; what it leaves out does the obvious. */
export interface ToyHandlers {
  ask?(note: Note, context: HandlerContext): unknown;
  watch?(note: Note, context: HandlerContext): unknown;
  collect?(notes: AsyncIterable<Note>, context: HandlerContext): unknown;
  chat?(notes: AsyncIterable<Note>, context: HandlerContext): unknown;
}

const OBVIOUS: Required<ToyHandlers> = {
  ask: ({ text }) => ({ text: `re: ${text}` }),
  async *watch({ text }) {
    yield { text: `${text} 1` };
    yield { text: `${text} 2` };
  },
  async collect(notes) {
    const texts: string[] = [];
    for await (const { text } of notes) texts.push(text);
    return { text: texts.join() };
  },
  async *chat(notes) {
    for await (const { text } of notes) yield { text: `re: ${text}` };
    yield { text: "bye" };
  },
};

export interface ToyServer extends WireServer {
  readonly url: string;
  /** What `onInternalError` was told. */
  readonly errors: unknown[];
  /** Handshakes that failed. */
  readonly failures: HandshakeFailure[];
}

/** A server with the toy service and `mounts`, for one test. */
export async function startToy(
  handlers: ToyHandlers = {},
  limits: Partial<WireLimits> = {},
  mounts: readonly Mount[] = [],
  credentials?: TlsCredentials,
): Promise<ToyServer> {
  const errors: unknown[] = [];
  const failures: HandshakeFailure[] = [];
  const implementation = { ...OBVIOUS, ...handlers } as unknown as ServiceImpl<DescService>;
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    mounts: [mount(TOY, implementation), ...mounts],
    routes: (request, response) => {
      if (request.url === "/throws") throw new Error("in a route");
      if (request.url !== "/healthz") return false;
      response.end("ok\n");
      return true;
    },
    onInternalError: (_path, error) => errors.push(error),
    ...(credentials && {
      tls: { credentials, onFailure: (failure: HandshakeFailure) => failures.push(failure) },
    }),
    limits,
  });
  onTestFinished(() => server.stop(0));
  const url = `${credentials ? "https" : "http"}://127.0.0.1:${server.port}`;
  return Object.assign(server, { url, errors, failures });
}
