import type { NetworkInterfaceInfo } from "node:os";

const LOOPBACK = ["localhost", "127.0.0.1", "::1"] as const;

/** What a host is called, as far as it knows itself. */
export interface HostSource {
  readonly hostname: string;
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
}

/**
 * Names and addresses by which a host may be called: loopback, its name, also as others
 * find it by multicast DNS, and the addresses of its networks. Not those that hold on one
 * link alone (fe80::…): nobody can write these without an interface behind them.
 */
export function hostNames({ hostname, interfaces }: HostSource): string[] {
  const isDnsName = /^[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*$/i.test(hostname);
  const own = isDnsName ? [hostname, ...(hostname.includes(".") ? [] : [`${hostname}.local`])] : [];
  const addresses = Object.values(interfaces)
    .flatMap((each) => each ?? [])
    .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address))
    .map(({ address }) => address);
  return [...LOOPBACK, ...own, ...addresses];
}
