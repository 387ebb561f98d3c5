// Services that stay registered, as many as asked for, in a process that can be killed.
// Tells what happens to them as log lines, and does what it reads from its input.
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { type Registration, startRegistration } from "../../../src/client/index.js";
import type { MembersCommand, MembersConfig } from "../members.js";
import { say } from "../say.js";

const config = JSON.parse(process.argv[2] ?? "") as MembersConfig;
const members = new Map<string, Registration>();

const addresses = [config.pulse].flat();
for (let n = 0; n < config.count; n++)
  start(`${config.prefix}-${n}`, addresses[n % addresses.length] ?? "");
say({ msg: "members.started" });

createInterface({ input: process.stdin }).on("line", (line) => {
  void carryOut(JSON.parse(line) as MembersCommand);
});

function start(name: string, pulse: string): void {
  const { token, ttlMs, standaloneAfterMs, service, apiKey } = config;
  const member = startRegistration({
    pulse,
    insecure: true, // a made-up name is no loopback host, even if it stands for one
    token: typeof token === "string" ? token : () => readToken(name, token.file),
    service: { name, ...service },
    credentials: { username: "admin", apiKey: apiKey ?? `the key of ${name}` },
    identity: { instanceId: name, instanceSecret: `the secret of ${name}` },
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(standaloneAfterMs === undefined ? {} : { standaloneAfterMs }),
  });
  members.set(name, member);
  member.subscribe((event) => {
    const grant = "grant" in event ? event.grant : undefined;
    say({
      msg: "member",
      member: name,
      type: event.type,
      ...("endpoint" in event ? { endpoint: event.endpoint } : {}),
      ...("retryInMs" in event ? { retryInMs: event.retryInMs } : {}),
      ...("registeredAnew" in event ? { registeredAnew: event.registeredAnew } : {}),
      ...("error" in event ? { error: event.error.message } : {}),
      ...(grant
        ? { ...grant, generation: `${grant.generation}`, revision: `${grant.revision}` }
        : {}),
    });
  });
}

async function carryOut(command: MembersCommand): Promise<void> {
  switch (command.do) {
    case "update":
      return members.get(command.member)?.update(command.change);
    case "report":
      return members.get(command.member)?.report(command.report);
    case "close":
      await Promise.all([...members.values()].map((member) => member.close()));
      process.exit(0);
  }
}

async function readToken(member: string, file: string): Promise<string> {
  say({ msg: "token-asked", member });
  return (await readFile(file, "utf8")).trim();
}
