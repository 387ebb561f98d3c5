import { beforeEach, describe, expect, it } from "vitest";
import {
  type AdvertisedFrom,
  advertisedAddress,
  createAdvertisedAddress,
  DERIVED_FOR_MS,
} from "../../src/haul/advertised-address.js";
import type { Connection, HostNetwork, NetworkAddress } from "../../src/haul/host-network.js";
import { ManualClock } from "../support/manual-clock.js";

const HOST_NAME = "nas";
const HERE_NOTE = "only this host can reach it; so it is with Pulse";
const ONLY_HERE = expect.stringContaining("can be reached on this one only");

/** What the host's network is like; each test says what differs. */
let hosts: Record<string, readonly string[]>;
let dns: Record<string, readonly string[]>;
/** By which of our addresses each other one is reached, and on which interface. */
let routes: Record<string, readonly [string, string]>;
/** `host port`: all else is refused. */
let connections: Record<string, Connection>;
let tried: string[];

beforeEach(() => {
  hosts = { localhost: ["127.0.0.1", "::1"], "pulse.lan": ["192.168.1.2"] };
  dns = {};
  routes = { "192.168.1.2": ["192.168.1.5", "eth0"] };
  connections = { "127.0.0.1 8080": "connected", "192.168.1.5 8080": "connected" };
  tried = [];
});

const familyOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);
const network: HostNetwork = {
  async lookUp(host) {
    const isAddress = /^[\d.]+$|:/.test(host);
    const addresses = isAddress ? [host] : (hosts[host] ?? []);
    return addresses.map((address) => ({ address, family: familyOf(address) }));
  },
  askDns: async (name, family) =>
    (dns[name] ?? []).filter((address) => familyOf(address) === family),
  async routeTo({ address }: NetworkAddress) {
    const [own, interfaceName] = routes[address] ?? [];
    return own === undefined ? undefined : { address: own, family: familyOf(own), interfaceName };
  },
  async connect(host, port) {
    tried.push(`${host} ${port}`);
    return connections[`${host} ${port}`] ?? "refused";
  },
};

const find = (from: Partial<AdvertisedFrom>) =>
  advertisedAddress(
    { kind: "qbittorrent", url: "http://127.0.0.1:8080", pulse: "https://pulse.lan:9696", ...from },
    { network, hostName: HOST_NAME },
  );

describe("an address that was given", () => {
  it("is used as it is, and not tried", async () => {
    expect(await find({ advertiseUrl: "https://qbit.example/ui", advertiseHost: "other" })).toEqual(
      {
        ok: true,
        url: "https://qbit.example/ui",
      },
    );
    expect(tried).toEqual([]);
  });

  it.each([
    ["http://127.0.0.1:8080/qbit", "gluetun", "http://gluetun:8080/qbit"],
    ["http://127.0.0.1:8080/", "gluetun", "http://gluetun:8080"],
    ["https://localhost/", "fd00::7", "https://[fd00::7]"],
    ["http://qbittorrent:8080", "gluetun", "http://gluetun:8080"],
  ])(
    "%s with the host %s, of a VPN's container say, is %s",
    async (url, advertiseHost, expected) => {
      expect(await find({ url, advertiseHost })).toEqual({ ok: true, url: expected });
    },
  );

  it.each(["nas:8080", "http://nas", "a/b", "a b", ""])("is no host: %j", async (advertiseHost) => {
    expect(await find({ advertiseHost })).toMatchObject({
      ok: false,
      problem: expect.stringContaining("advertise_host is no host name"),
    });
  });

  it("is used though nobody else could, which is said", async () => {
    const url = "http://127.0.0.1:8080";
    expect(await find({ advertiseUrl: url })).toEqual({ ok: true, url, note: ONLY_HERE });
    expect(await find({ advertiseUrl: url, pulse: "127.0.0.1:9696" })).toEqual({ ok: true, url });
  });
});

it("the client's own address is used if it is not loopback: containers of one compose file", async () => {
  expect(await find({ url: "http://qbittorrent:8080/base" })).toEqual({
    ok: true,
    url: "http://qbittorrent:8080/base",
  });
  expect(tried).toEqual([]);
});

describe("with Pulse on this host", () => {
  it.each([
    "http://127.0.0.1:9696",
    "localhost",
    "http://[::1]:9696",
    "http://127.0.0.1:9696,http://127.0.0.1:9697",
    "https://nas:9696",
  ])("%s, loopback is good enough", async (pulse) => {
    hosts.nas = ["127.0.1.1"]; // as Debian's hosts file has it
    expect(await find({ pulse })).toEqual({
      ok: true,
      url: "http://127.0.0.1:8080",
      note: HERE_NOTE,
    });
  });

  it("but called by an address of its network, that is what managers get, too", async () => {
    routes["192.168.1.5"] = ["192.168.1.5", "eth0"];
    expect(await find({ pulse: "https://192.168.1.5:9696" })).toMatchObject({
      ok: true,
      url: "http://192.168.1.5:8080",
    });
  });
});

describe("with Pulse elsewhere", () => {
  it.each([
    ["http://127.0.0.1:8080", "http://192.168.1.5:8080"],
    ["http://localhost:8080/qbit", "http://192.168.1.5:8080/qbit"],
    ["https://[::1]:8080", "https://192.168.1.5:8080"],
    ["http://[::ffff:127.0.0.1]:8080", "http://192.168.1.5:8080"],
    ["http://localhost.localdomain:8080", "http://192.168.1.5:8080"],
    ["http://127.8.8.8:8080", "http://192.168.1.5:8080"],
  ])("%s becomes %s: the address that leads to Pulse", async (url, expected) => {
    expect(await find({ url })).toEqual({ ok: true, url: expected });
  });

  it("is named if DNS knows this host under that very address", async () => {
    dns.nas = ["10.9.9.9", "192.168.1.5"];
    expect(await find({})).toEqual({ ok: true, url: "http://nas:8080" });
    expect(tried).toEqual(["192.168.1.5 8080"]);
  });

  it.each([
    ["another address", "nas", ["192.168.1.77"]],
    ["the hosts file's", "nas", ["127.0.1.1"]],
  ])("is not named if DNS knows it under %s", async (_, name, addresses) => {
    dns[name] = addresses;
    expect(await find({})).toMatchObject({ url: "http://192.168.1.5:8080" });
  });

  it("is never localhost, though a host may call itself so", async () => {
    dns.localhost = ["192.168.1.5"];
    const found = await advertisedAddress(
      { kind: "aria2", url: "http://127.0.0.1:8080", pulse: "https://pulse.lan:9696" },
      { network, hostName: "localhost" },
    );
    expect(found).toEqual({ ok: true, url: "http://192.168.1.5:8080" });
  });

  it("the default port of the scheme is the one that is tried", async () => {
    connections["192.168.1.5 443"] = "connected";
    expect(await find({ url: "https://localhost" })).toEqual({
      ok: true,
      url: "https://192.168.1.5",
    });
  });

  it("by IPv6 the address gets its brackets", async () => {
    routes = { "fd00::2": ["fd00::5", "eth0"] };
    connections = { "fd00::5 8080": "connected" };
    expect(await find({ pulse: "https://[fd00::2]:9696" })).toEqual({
      ok: true,
      url: "http://[fd00::5]:8080",
    });
  });

  it("by IPv6 and IPv4, the one is taken at which the client listens", async () => {
    hosts["pulse.lan"] = ["fd00::2", "192.168.1.2"];
    routes["fd00::2"] = ["fd00::5", "eth0"];
    expect(await find({})).toEqual({ ok: true, url: "http://192.168.1.5:8080" });
    expect(tried).toEqual(["fd00::5 8080", "192.168.1.5 8080"]);
  });

  it("several times, those that are away or here do not matter", async () => {
    const pulse = "https://gone.lan:9696,https://127.0.0.1:9696,https://10.1.1.1,https://pulse.lan";
    expect(await find({ pulse })).toEqual({ ok: true, url: "http://192.168.1.5:8080" });
  });

  it("the address of a VPN's tunnel is used, and it is said that managers may not be in it", async () => {
    routes["192.168.1.2"] = ["10.2.0.2", "tun0"];
    connections["10.2.0.2 8080"] = "connected";
    expect(await find({})).toEqual({
      ok: true,
      url: "http://10.2.0.2:8080",
      note: "10.2.0.2 belongs to the tunnel tun0, since that leads to Pulse: if managers are not in it, give advertise_host",
    });
  });

  it("in a container it is the address of the container", async () => {
    hosts = { pulse: ["172.20.0.2"] };
    routes = { "172.20.0.2": ["172.20.0.7", "eth0"] };
    connections = { "172.20.0.7 8080": "connected" };
    expect(await find({ pulse: "https://pulse:9696" })).toEqual({
      ok: true,
      url: "http://172.20.0.7:8080",
    });
  });
});

describe("there is no address that managers could use", () => {
  it("if the client listens on loopback only", async () => {
    connections = { "127.0.0.1 8080": "connected" };
    expect(await find({})).toEqual({
      ok: false,
      problem:
        "qBittorrent listens on 127.0.0.1 only: let it listen on all addresses, or give advertise_url",
    });
  });

  it("if it takes no connection there for another reason", async () => {
    connections["192.168.1.5 8080"] = "silent";
    expect(await find({})).toEqual({
      ok: false,
      problem:
        "qBittorrent answers at http://127.0.0.1:8080, but takes no connection at 192.168.1.5: open its port 8080 there, or give advertise_url",
    });
  });

  it("if the client has gone meanwhile, which is not taken for listening on loopback", async () => {
    connections = {};
    expect(await find({})).toEqual({
      ok: false,
      problem: "qBittorrent does not answer at http://127.0.0.1:8080 any more",
    });
  });

  it.each([
    ["no route", { "pulse.lan": ["192.168.9.9"] }],
    ["a name that is not known", {}],
  ])("if there is %s to Pulse", async (_, known) => {
    hosts = known;
    expect(await find({})).toMatchObject({
      ok: false,
      problem: expect.stringContaining("no network of this host leads to Pulse"),
    });
  });

  it.each(["fe80::5", "169.254.7.7", "0.0.0.0", "::", "127.0.0.1"])(
    "if only %s leads there, which is no address for others",
    async (own) => {
      routes = { "192.168.1.2": [own, "eth0"] };
      connections[`${own} 8080`] = "connected";
      expect((await find({})).ok).toBe(false);
    },
  );
});

it("is derived anew after a minute, when somebody asks", async () => {
  const clock = new ManualClock();
  const address = createAdvertisedAddress(
    { kind: "qbittorrent", url: "http://127.0.0.1:8080", pulse: "https://pulse.lan:9696" },
    { network, hostName: HOST_NAME, clock },
  );
  expect(await address()).toMatchObject({ url: "http://192.168.1.5:8080" });
  routes["192.168.1.2"] = ["192.168.1.6", "wlan0"];
  connections["192.168.1.6 8080"] = "connected";
  clock.advanceSync(DERIVED_FOR_MS - 1);
  expect(await address()).toMatchObject({ url: "http://192.168.1.5:8080" });
  clock.advanceSync(1);
  expect(await address()).toMatchObject({ url: "http://192.168.1.6:8080" });
  expect(clock.pending).toBe(0);
});

it("that there is none is not believed for long: the client may listen elsewhere at the next probe", async () => {
  const address = createAdvertisedAddress(
    { kind: "qbittorrent", url: "http://127.0.0.1:8080", pulse: "https://pulse.lan:9696" },
    { network, hostName: HOST_NAME, clock: new ManualClock() },
  );
  connections = { "127.0.0.1 8080": "connected" };
  expect((await address()).ok).toBe(false);
  connections["192.168.1.5 8080"] = "connected";
  expect(await address()).toEqual({ ok: true, url: "http://192.168.1.5:8080" });
});
