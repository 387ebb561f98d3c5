import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { AddressRule } from "../lib/probe-address.js";
import { ProbeError } from "./adapter.js";

export interface IpAddress {
  readonly address: string;
  readonly family: number;
}

/** All addresses of a host name. */
export type Resolve = (host: string) => Promise<readonly IpAddress[]>;

/** The addresses at which one host may be called. */
export interface HostAddresses {
  /**
   * Those to try: the one that was used before, else all that the rule lets.
   * @throws ProbeError `unreachable` if there is none.
   */
  find(): Promise<readonly IpAddress[]>;
  /** This one has been connected to: no other is called, until `forget`. */
  use(address: string): void;
  /** The host is looked up anew, for it may have moved. */
  forget(): void;
}

/**
 * A name is looked up once, and what is connected to is one of the addresses that were
 * looked at: another answer of DNS in between changes nothing, and what is said to an
 * address goes to no other in the middle of a probe.
 * @param host name or IP address, an IPv6 address without brackets
 * @param rule left out: whoever names the host may call any address
 */
export function createHostAddresses(
  host: string,
  rule: AddressRule = () => undefined,
  resolve: Resolve = resolveBySystem,
): HostAddresses {
  let used: IpAddress | undefined;

  async function allowed(): Promise<readonly IpAddress[]> {
    const family = isIP(host);
    const found = family ? [{ address: host, family }] : await resolve(host);
    const judged = found.map((each) => ({ ...each, problem: rule(each.address) }));
    const good = judged.filter(({ problem }) => problem === undefined);
    const [first] = judged;
    if (good.length === 0)
      throw new ProbeError(
        "unreachable",
        first ? `it is at ${first.address}, ${first.problem}` : "its name has no address",
      );
    return good;
  }

  return {
    find: async () => (used ? [used] : allowed()),
    use(address) {
      used ??= { address, family: isIP(address) };
    },
    forget() {
      used = undefined;
    },
  };
}

const resolveBySystem: Resolve = (host) => lookup(host, { all: true });
