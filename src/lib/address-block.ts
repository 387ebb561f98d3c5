import { withoutMapping } from "./host.js";

/**
 * Whom an IP address stands for where peers are counted. An IPv4 address stands for
 * itself, also when it is mapped into IPv6; an IPv6 address for its /64, of which one
 * host may take as many addresses as it likes. What is no address is returned as it is.
 */
export function addressBlock(address: string): string {
  const [bare = ""] = withoutMapping(address).split("%", 1); // without its zone
  if (!bare.includes(":")) return bare;
  const [head = "", tail] = bare.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const tailGroups = tail === "" ? [] : tail.split(":");
    // A dotted end takes the place of two groups.
    const tailLength = tailGroups.length + (tail.includes(".") ? 1 : 0);
    while (groups.length + tailLength < 8) groups.push("0");
    groups.push(...tailGroups);
  }
  const network = groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "").toLowerCase());
  return `${network.join(":")}::/64`;
}
