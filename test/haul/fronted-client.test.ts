import { expect, test } from "vitest";
import {
  checkFrontedClient,
  FRONTABLE_KINDS,
  probeFrontedClient,
} from "../../src/haul/fronted-client.js";
import { StartError } from "../../src/haul/start-error.js";

test("a Haul stands beside all kinds that can be asked, but another Haul", () => {
  expect(FRONTABLE_KINDS).toEqual([
    "aria2",
    "deluge",
    "nzbget",
    "qbittorrent",
    "sabnzbd",
    "transmission",
  ]);
});

test.each([
  ["gopher", "http://127.0.0.1:1", /kind "gopher".* aria2, .*qbittorrent/],
  ["haul", "http://127.0.0.1:1", /kind "haul".* aria2, .*qbittorrent/],
  ["aria2", "127.0.0.1:6800", /not an http or https URL/],
  ["aria2", "http://me:plain-secret@127.0.0.1:1", /user name or password/],
  ["aria2", "http://127.0.0.1:1/?token=plain-secret", /query/],
  ["aria2", "http://0.0.0.0:1", /others can reach/],
  ["aria2", "http://[::]:1", /others can reach/],
])("%s at %s cannot be fronted, and the error says why", (kind, url, says) => {
  const attempt = () => checkFrontedClient({ kind, url });
  expect(attempt).toThrow(StartError);
  expect(attempt).toThrow(says);
  expect(attempt).not.toThrow(/plain-secret/);
});

test("what cannot be fronted is not asked either", async () => {
  await expect(probeFrontedClient({ kind: "aria2", url: "http://0.0.0.0:1" })).rejects.toThrow(
    StartError,
  );
});
