// A small service that registers with Pulse and stays registered until Ctrl-C.
//
//   PULSE_TOKEN=$(cat ~/.local/state/pulse/tokens/service.token) npx tsx examples/register-service.ts
import { createServer } from "node:http";
import { registerWithRetry } from "pulse-registry";

const server = createServer((_request, response) => response.end("hello\n"));
const port = Number(process.env.PORT ?? 8123);
await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));

const registration = await registerWithRetry({
  pulse: process.env.PULSE_URL ?? "http://127.0.0.1:9696",
  token: process.env.PULSE_TOKEN ?? "",
  service: { name: "greeter", type: "example", apiUrl: `http://127.0.0.1:${port}` },
  identity: { directory: process.env.STATE_DIRECTORY ?? ".greeter" }, // keep it: it is who we are
});
process.once("SIGINT", async () => {
  await registration.close(); // says goodbye: Pulse shows the service offline at once
  server.close();
});
console.log(`${registration.state} as ${registration.grant?.serviceId ?? "nobody yet"}`);
registration.subscribe((event) => console.log(event.type));
