import type { NetworkInterfaceInfo } from "node:os";
import { expect, it } from "vitest";
import { hostNames } from "../../src/cli/host-names.js";

const address = (text: string, internal = false) =>
  ({ address: text, internal }) as NetworkInterfaceInfo;

it("a host is called by loopback, its name, also in multicast DNS, and the addresses of its networks", () => {
  const interfaces = {
    lo: [address("127.0.0.1", true), address("::1", true)],
    eth0: [address("192.168.1.5"), address("fd00::5"), address("fe80::1")],
    none: undefined,
  };
  expect(hostNames({ hostname: "attic", interfaces })).toEqual([
    "localhost",
    "127.0.0.1",
    "::1",
    "attic",
    "attic.local",
    "192.168.1.5",
    "fd00::5",
  ]);
});

it.each([
  ["attic.home.arpa", ["attic.home.arpa"]],
  ["my host", []],
  ["-", []],
])("a host with the name %j has of it %j", (hostname, names) => {
  expect(hostNames({ hostname, interfaces: {} }).slice(3)).toEqual(names);
});
