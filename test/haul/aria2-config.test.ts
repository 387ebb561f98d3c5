import { expect, it } from "vitest";
import { aria2Config } from "../../src/haul/aria2-config.js";

const SETTINGS = {
  port: 41_733,
  secret: "the-secret",
  downloadDirectory: "/srv/my downloads",
  sessionFile: "/state/aria2.session",
  parentPid: 4_711,
};

it("listens on loopback with a secret, ends with Haul, and speaks to nobody unasked", () => {
  const lines = aria2Config(SETTINGS).trimEnd().split("\n");
  for (const line of [
    "rpc-listen-all=false",
    "rpc-listen-port=41733",
    "rpc-secret=the-secret",
    "dir=/srv/my downloads",
    "stop-with-process=4711",
    "enable-dht=false",
    "enable-dht6=false",
    "bt-enable-lpd=false",
  ])
    expect(lines).toContain(line);
});

it.each(["/srv/a\nrpc-listen-all=true", "/srv/a\r", "/srv/a "])(
  "%j would be read as something else, and is refused",
  (downloadDirectory) => {
    expect(() => aria2Config({ ...SETTINGS, downloadDirectory })).toThrow(/line breaks/);
  },
);
