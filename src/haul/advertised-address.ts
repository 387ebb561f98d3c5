import { isIPv6 } from "node:net";
import { parsePulseAddresses } from "../client/index.js";
import type { Clock } from "../lib/clock.js";
import { hostOf, inUrl, isLoopbackHost, isUnspecifiedHost } from "../lib/host.js";
import type { HostNetwork, Route } from "./host-network.js";
import { programName } from "./program-names.js";

/** How long an address that was derived is taken for true: the host may move to another network. */
export const DERIVED_FOR_MS = 60_000;

export interface AdvertisedFrom {
  /** What is advertised, for messages. */
  readonly kind: string;
  /** Where Haul itself reaches it. */
  readonly url: string;
  readonly advertiseUrl?: string | undefined;
  readonly advertiseHost?: string | undefined;
  /** Addresses of Pulse, with commas between. */
  readonly pulse: string;
}

/** The address that managers get, or why there is none that they could use, and what to do. */
export type AdvertisedAddress =
  | { readonly ok: true; readonly url: string; readonly note?: string }
  | { readonly ok: false; readonly problem: string };

export interface AdvertisedAddressOptions {
  readonly network: HostNetwork;
  /** Name of this host. */
  readonly hostName: string;
}

/**
 * Where media managers reach a download client. In this order:
 *
 * - `advertiseUrl`, or `url` with `advertiseHost` in the place of its host: the operator
 *   knows best. This is for a client behind a VPN container, whose ports are those of
 *   that container (`advertiseHost: gluetun`), and for one behind a reverse proxy.
 * - `url` itself, if its host is not loopback: as `http://qbittorrent:8080`, where the
 *   containers of one compose file find each other by name.
 * - `url` itself, if Pulse is on this host, too: then managers are supposed to be.
 * - `url` with the name of this host, if name servers elsewhere know it under the very
 *   address by which this host reaches Pulse: the hosts file would name 127.0.1.1.
 * - `url` with that address. In a container it is the container's own, which others on
 *   its network reach; from outside only published ports are reached: give `advertiseUrl`.
 *
 * What was derived is connected to, since a client that listens on loopback alone can be
 * reached by nobody else. That is tried from here: a firewall in between is not noticed.
 * To be asked when the client has just answered. Never rejects.
 */
export async function advertisedAddress(
  from: AdvertisedFrom,
  { network, hostName }: AdvertisedAddressOptions,
): Promise<AdvertisedAddress> {
  const { url, advertiseUrl, advertiseHost, kind } = from;
  const isGiven = advertiseUrl !== undefined || advertiseHost !== undefined;
  if (!isGiven && !isOnlyHere(hostOf(new URL(url)))) return { ok: true, url };
  const pulse = await findPulse(from.pulse, network);
  if (advertiseUrl !== undefined) return asGiven(advertiseUrl, pulse);
  if (advertiseHost !== undefined)
    return isHost(advertiseHost)
      ? asGiven(withHost(url, advertiseHost), pulse)
      : { ok: false, problem: BAD_HOST };
  if (pulse.isHere) return { ok: true, url, note: HERE };
  if (pulse.routes.length === 0) return { ok: false, problem: NO_ROUTE };

  const port = portOf(url);
  const tried: string[] = [];
  for (const route of pulse.routes) {
    const connection = await network.connect(route.address, port);
    tried.push(connection);
    if (connection !== "connected") continue;
    const host = (await isNameOf(hostName, route, network)) ? hostName : route.address;
    const note = isTunnel(route) ? { note: tunnelNote(route) } : {};
    return { ok: true, url: withHost(url, host), ...note };
  }
  const program = programName(kind);
  const isThere = (await network.connect(hostOf(new URL(url)), port)) === "connected";
  if (!isThere) return { ok: false, problem: `${program} does not answer at ${url} any more` };
  const isLocal = tried.every((connection) => connection === "refused");
  return { ok: false, problem: (isLocal ? listensHere : isShut)(program, url, pulse.routes) };
}

/** As `advertisedAddress`, derived anew when somebody asks a minute later, or after there was none. */
export function createAdvertisedAddress(
  from: AdvertisedFrom,
  options: AdvertisedAddressOptions & { readonly clock: Clock },
): () => Promise<AdvertisedAddress> {
  const { clock } = options;
  let derivedAt = 0;
  let address: Promise<AdvertisedAddress> | undefined;
  return () => {
    if (address && clock.now() - derivedAt < DERIVED_FOR_MS) return address;
    derivedAt = clock.now();
    const derived = advertisedAddress(from, options).then((found) => {
      if (!found.ok && address === derived) address = undefined;
      return found;
    });
    address = derived;
    return derived;
  };
}

interface FoundPulse {
  /** It is at loopback addresses alone. */
  readonly isHere: boolean;
  /** By which addresses of this host others reach it, each once. */
  readonly routes: readonly Route[];
}

async function findPulse(pulse: string, network: HostNetwork): Promise<FoundPulse> {
  const places = await Promise.all(
    parsePulseAddresses(pulse).map(async (text) => {
      const found = await network.lookUp(hostOf(new URL(text)));
      return found.map((to) => ({ to, port: portOf(text) }));
    }),
  );
  const all = places.flat();
  const elsewhere = all.filter(({ to }) => !isOnlyHere(to.address));
  const found = await Promise.all(elsewhere.map(({ to, port }) => network.routeTo(to, port)));
  const routes = new Map<string, Route>();
  for (const route of found)
    if (route && isUsable(route) && !routes.has(route.address)) routes.set(route.address, route);
  return { isHere: all.length > 0 && elsewhere.length === 0, routes: [...routes.values()] };
}

/** Nobody can write a link-local address without an interface of his own behind it. */
function isUsable({ address }: Route): boolean {
  return (
    !isOnlyHere(address) && !isUnspecifiedHost(address) && !/^(fe[89ab]|169\.254\.)/i.test(address)
  );
}

async function isNameOf(name: string, route: Route, network: HostNetwork): Promise<boolean> {
  if (isOnlyHere(name) || !isHost(name)) return false;
  return (await network.askDns(name, route.family)).includes(route.address);
}

function asGiven(url: string, pulse: FoundPulse): AdvertisedAddress {
  const isLost = isOnlyHere(hostOf(new URL(url))) && !pulse.isHere;
  return { ok: true, url, ...(isLost && { note: ONLY_HERE }) };
}

/** Loopback however it is written. */
function isOnlyHere(host: string): boolean {
  return (
    isLoopbackHost(host) ||
    /^::ffff:(127\.|7f[\da-f]{2}:)/i.test(host) ||
    /(^|[.-])(localhost|loopback)(\.localdomain)?\.?$/i.test(host)
  );
}

function isHost(text: string): boolean {
  return isIPv6(text) || (/^[^\s:/?#@\\[\]]+$/.test(text) && URL.canParse(`http://${text}`));
}

/** A tunnel leads to one place, and managers are seldom there. */
function isTunnel({ interfaceName = "" }: Route): boolean {
  return /^(tun|wg|ppp|nordlynx)/i.test(interfaceName);
}

function withHost(url: string, host: string): string {
  const { protocol, port, pathname } = new URL(url);
  const at = isIPv6(host) ? inUrl(host) : host;
  return `${protocol}//${at}${port && `:${port}`}${pathname === "/" ? "" : pathname}`;
}

function portOf(url: string): number {
  const { protocol, port } = new URL(url);
  return Number(port) || (protocol === "https:" ? 443 : 80);
}

const HERE = "only this host can reach it; so it is with Pulse";
const ONLY_HERE =
  "Pulse is on another host, but what is registered can be reached on this one only: give an advertise_url that managers can use";
const BAD_HOST = "advertise_host is no host name or IP address: give it without a scheme or port";
const NO_ROUTE =
  "no network of this host leads to Pulse, so it is not known where managers would reach the download client: wait for the network, or give advertise_url";

function tunnelNote({ address, interfaceName }: Route): string {
  return `${address} belongs to the tunnel ${interfaceName}, since that leads to Pulse: if managers are not in it, give advertise_host`;
}

function listensHere(program: string, url: string): string {
  return `${program} listens on ${hostOf(new URL(url))} only: let it listen on all addresses, or give advertise_url`;
}

function isShut(program: string, url: string, routes: readonly Route[]): string {
  const addresses = routes.map(({ address }) => address).join(" and ");
  return `${program} answers at ${url}, but takes no connection at ${addresses}: open its port ${portOf(url)} there, or give advertise_url`;
}
