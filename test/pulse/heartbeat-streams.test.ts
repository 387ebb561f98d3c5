import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { HeartbeatStream } from "../../src/pulse/heartbeat-stream.js";
import { createHeartbeatStreams } from "../../src/pulse/heartbeat-streams.js";
import { Fleet } from "../support/fleet.js";
import { RequestFeed } from "./request-feed.js";

const ANYBODY = { tokenId: "token-1", instanceId: "" };

let fleet: Fleet;
beforeEach(async () => {
  fleet = await Fleet.start();
});

it("draining is told to every open stream, and each is ended", async () => {
  const streams = createHeartbeatStreams(fleet.leases);
  const open = [1, 2, 3].map(() =>
    streams.open(new RequestFeed(), ANYBODY)[Symbol.asyncIterator](),
  );
  const waiting = open.map((stream) => stream.next());
  streams.drain(1_000);
  for (const { value } of await Promise.all(waiting)) expect(value.event.case).toBe("draining");
  for (const stream of open) await expect(stream.next()).rejects.toThrow("Pulse is stopping");
});

it("a stream that has ended is not kept", async () => {
  const drain = vi.spyOn(HeartbeatStream.prototype, "drain");
  onTestFinished(() => drain.mockRestore());
  const streams = createHeartbeatStreams(fleet.leases);
  const [ended] = [1, 2].map(() =>
    streams.open(new RequestFeed(), ANYBODY)[Symbol.asyncIterator](),
  );
  await ended?.return?.();
  streams.drain(1_000);
  expect(drain).toHaveBeenCalledTimes(1);
});
