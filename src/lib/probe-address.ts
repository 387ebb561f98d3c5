import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/**
 * Says what forbids to call an IP address, as in `it is at 169.254.169.254, …`;
 * undefined: it may be called.
 */
export type AddressRule = (address: string) => string | undefined;

/** Nothing that a download client has, and much that must not be asked by proxy. */
const REFUSED: readonly (readonly [string, readonly string[]])[] = [
  ["an unspecified address", ["0.0.0.0/8", "::/128"]],
  [
    "an address where clouds keep secrets of their machines",
    ["169.254.169.254/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128"],
  ],
  ["a link-local address", ["169.254.0.0/16", "fe80::/10"]],
  ["a multicast address", ["224.0.0.0/4", "ff00::/8"]],
  ["a broadcast or reserved address", ["240.0.0.0/4"]],
];

/** Where an IPv6 address holds an IPv4 address: its prefix, and which of its 16 bytes that begins with. */
const EMBEDDING: readonly (readonly [string, number])[] = [
  ["::/96", 12], // IPv4-compatible
  ["::ffff:0:0/96", 12], // IPv4-mapped
  ["::ffff:0:0:0/96", 12], // IPv4-translated
  ["64:ff9b::/96", 12], // NAT64
  ["64:ff9b:1::/48", 12], // NAT64 of a network's own, with a prefix of 96 bits
  ["2002::/16", 2], // 6to4
];

/** A rule for tests of entries: `NETWORK/BITS` each, as `isNetwork` accepts; none: all that are not refused. */
export function createProbeRule(allowed: readonly string[] = []): AddressRule {
  const narrow = allowed.length > 0 && listOf(allowed);
  return (address) => {
    const plain = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
    if (isIP(plain) === 0) return "no IP address";
    const forms = formsOf(plain);
    const kind = REFUSED_LISTS.find(([, list]) => forms.some((form) => holds(list, form)))?.[0];
    if (kind) return `${kind}, which Pulse never calls`;
    // One that is translated is elsewhere than the IPv4 address in it: only mapped ones are the same.
    const same = forms.filter((form) => form === plain || isMapped(plain));
    if (narrow && !same.some((form) => holds(narrow, form)))
      return "in none of the networks that --allow-probe names: add its network there if it is right";
    return undefined;
  };
}

/** Whether this is a network such as 192.168.1.0/24 or fd00::/8; one address alone is one, too. */
export function isNetwork(text: string): boolean {
  const [, address = "", bits] = /^([^/]+?)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const most = isIPv4(address) ? 32 : isIPv6(address) && !address.includes("%") ? 128 : -1;
  return bits === undefined ? most > 0 : Number(bits) <= most;
}

/** The address, and the IPv4 address in it if there is one. */
function formsOf(address: string): readonly string[] {
  if (isIPv4(address)) return [address];
  const place = EMBEDDING_LISTS.find(([list]) => holds(list, address))?.[1];
  // In ::/96, what begins with 0 is no IPv4 address: ::1 is loopback.
  if (place === undefined || isShort(address)) return [address];
  return [
    address,
    bytesOf(address)
      .slice(place, place + 4)
      .join("."),
  ];
}

function isShort(address: string): boolean {
  return bytesOf(address)
    .slice(0, 13)
    .every((byte) => byte === 0);
}

function isMapped(address: string): boolean {
  return isIPv6(address) && holds(MAPPED, address);
}

function bytesOf(ipv6: string): number[] {
  // Written by the URL parser, it has no dots, and one :: at most.
  const [head = "", tail] = new URL(`http://[${ipv6}]`).hostname.slice(1, -1).split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((g) => parseInt(g, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]);
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    const family = isIPv4(address) ? "ipv4" : "ipv6";
    list.addSubnet(address, Number(bits ?? (family === "ipv4" ? 32 : 128)), family);
  }
  return list;
}

function holds(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}

const REFUSED_LISTS = REFUSED.map(([kind, networks]) => [kind, listOf(networks)] as const);
const EMBEDDING_LISTS = EMBEDDING.map(([network, at]) => [listOf([network]), at] as const);
const MAPPED = listOf(["::ffff:0:0/96"]);
