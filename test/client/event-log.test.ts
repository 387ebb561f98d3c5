import { Code, ConnectError } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { logEvents } from "../../src/client/event-log.js";
import type { RegistrationEvent } from "../../src/client/registration.js";
import { recordingLog } from "../support/recording-log.js";
import { grant } from "./session-samples.js";

const error = new Error("connection refused");

it("says which Pulse it is where there is a choice", () => {
  const log = recordingLog();
  const write = logEvents(log, "http://a:9696,http://b:9696");
  const endpoint = "10.0.0.1:9696";
  write({ type: "registered", grant, endpoint });
  write({ type: "reconnected", grant, registeredAnew: false, endpoint });
  write({ type: "registered", grant });
  expect(log.lines.map(({ fields }) => fields)).toMatchObject([{ endpoint }, { endpoint }, {}]);
  expect(log.lines[2]?.fields).not.toHaveProperty("endpoint");
});

it("says once that the service waits for approval, and again when it has to wait anew", () => {
  const log = recordingLog();
  const write = logEvents(log, "http://p:9696");
  const waiting = { ...grant, waitsForApproval: true as const };
  const said = () => log.lines.filter(({ msg }) => msg.startsWith("waits for approval")).length;
  write({ type: "registered", grant: waiting });
  write({ type: "updated", grant: waiting });
  write({ type: "reconnected", grant: waiting, registeredAnew: true });
  expect(said()).toBe(1);
  write({ type: "updated", grant });
  expect(said()).toBe(1);
  write({ type: "reconnected", grant: waiting, registeredAnew: true });
  expect(said()).toBe(2);
  expect(log.lines.at(-1)?.msg).toContain("pulse services approve svc-1");
});

it.each<[string, RegistrationEvent, string]>([
  ["info", { type: "registered", grant }, "registered with Pulse"],
  ["info", { type: "updated", grant }, "updated with Pulse"],
  ["info", { type: "reconnected", grant, registeredAnew: true }, "reconnected to Pulse"],
  ["info", { type: "closed" }, "the registration with Pulse has ended"],
  [
    "info",
    { type: "standalone", afterMs: 120_000, error },
    "Pulse at http://p:9696 was not reachable for 120 s: this program goes on alone, and keeps trying to register in the background",
  ],
  [
    "info",
    {
      type: "standalone",
      afterMs: 120_000,
      error: new ConnectError("bad token", Code.Unauthenticated),
    },
    "Pulse at http://p:9696 refused this service for 120 s: this program goes on alone, and keeps trying to register in the background",
  ],
  [
    "warn",
    { type: "disconnected", error, retryInMs: 480 },
    "lost the connection to Pulse; next attempt in 0.5 s",
  ],
  [
    "warn",
    { type: "attempt-failed", attempt: 3, error, retryInMs: 31_800 },
    "attempt 3 to reach Pulse failed; next attempt in 32 s",
  ],
  [
    "warn",
    { type: "rejected", error, retryInMs: 62_000 },
    "Pulse refuses this service; check its token and identity. Next attempt in 62 s",
  ],
  [
    "warn",
    { type: "superseded" },
    "another process has registered with this identity, so this one has stopped: give each its own identity directory",
  ],
  ["error", { type: "failed", error }, "the registration has failed"],
])("%s: %#", (level, event, msg) => {
  const lines: [string, object, string][] = [];
  const at = (name: string) => (fields: object, text: string) =>
    void lines.push([name, fields, text]);
  const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  logEvents(log, "http://p:9696")(event);
  const fields = expect.objectContaining({ event: event.type, pulse: "http://p:9696" });
  expect(lines).toEqual([[level, fields, msg]]);
  // The lease is as good as a password for it: who holds it can end the registration.
  expect(JSON.stringify(lines)).not.toContain(grant.leaseId);
  if ("error" in event) expect(lines[0]?.[1]).toMatchObject({ error: event.error.message });
});
