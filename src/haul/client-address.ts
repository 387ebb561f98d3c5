import { hostname } from "node:os";
import type { Clock } from "../lib/clock.js";
import {
  type AdvertisedAddress,
  type AdvertisedFrom,
  createAdvertisedAddress,
} from "./advertised-address.js";
import { createHostNetwork } from "./host-network.js";

/** Where managers reach a client that answers Haul at a URL, which may be another one each time. */
export function createClientAddress(
  from: Omit<AdvertisedFrom, "url">,
  clock: Clock,
): (url: string) => Promise<AdvertisedAddress> {
  const options = { network: createHostNetwork(clock), hostName: hostname(), clock };
  let known = "";
  let find: (() => Promise<AdvertisedAddress>) | undefined;
  return (url) => {
    if (!find || url !== known) find = createAdvertisedAddress({ ...from, url }, options);
    known = url;
    return find();
  };
}
