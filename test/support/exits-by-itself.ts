// A program that has nothing more to do: opens a stream in the background, or waits for a call.
import { createClient } from "@connectrpc/connect";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { Endpoints } from "../../src/wire/endpoints.js";
import { createGrpcTransport } from "../../src/wire/grpc-transport.js";

const [url = "", use, fingerprint] = process.argv.slice(2);
const address = new Endpoints([url], fingerprint ? { tls: { fingerprint } } : {});

if (use === "background") {
  const transport = createGrpcTransport({ address, use });
  const { heartbeat } = createClient(RegistryService, transport);
  const held = setTimeout(() => {}, 60_000);
  void (async () => {
    for await (const _ of heartbeat(forEver())) {
      console.log("open");
      clearTimeout(held);
    }
  })();
} else {
  const { getService } = createClient(RegistryService, createGrpcTransport({ address }));
  console.log((await getService({ id: "x" })).service?.id);
}

async function* forEver() {
  yield { leaseId: "x" };
  await new Promise(() => {});
}
