import { createServer, type Socket } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type GetServiceResponseSchema,
  RegistryService,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { systemClock } from "../../src/lib/clock.js";
import { mount, startServer } from "../../src/wire/server.js";

type Answer = MessageInitShape<typeof GetServiceResponseSchema>;

/** One node of a Pulse of which a test needs GetService only. */
export interface LoopbackNode {
  readonly address: string;
  readonly port: number;
  /** How often it was asked. */
  readonly calls: number;
  /** What a call meets: its id in an answer, unless a test says otherwise. */
  answer: (id: string, context: HandlerContext) => Answer | Promise<Answer>;
  stop(graceMs?: number): Promise<void>;
}

/** @param host of 127.0.0.0/8: several nodes can have one port, as the addresses of one name do */
export async function startNode(host: string, port = 0): Promise<LoopbackNode> {
  let calls = 0;
  const missing = () => {
    throw new ConnectError("this node knows GetService only", Code.Unimplemented);
  };
  const implementation: ServiceImpl<typeof RegistryService> = {
    register: missing,
    heartbeat: missing,
    deregister: missing,
    listServices: missing,
    watchServices: missing,
    explainService: missing,
    approveService: missing,
    async getService({ id }, context) {
      calls++;
      return node.answer(id, context);
    },
  };
  const server = await startServer({
    host,
    port,
    clock: systemClock,
    mounts: [mount(RegistryService, implementation)],
    routes: () => false,
    onInternalError: () => {},
  });
  const node: LoopbackNode = {
    address: `http://${host}:${server.port}`,
    port: server.port,
    get calls() {
      return calls;
    },
    answer: () => ({ service: { id: host } }),
    stop: (graceMs = 0) => server.stop(graceMs),
  };
  return node;
}

/** A listener that takes connections and never says a word, as a process that is stopped. */
export async function startSilent(host: string, port = 0) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => {}); // or its end would not be noticed
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return {
    address: `http://${host}:${(server.address() as { port: number }).port}`,
    /** Connections that are open. */
    sockets,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
