// Host names stand for what the file MOVING_NAMES says at that moment: {"pulse.test": ["127.0.0.2"]}.
import dns from "node:dns";
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const realLookup = dns.lookup;
const realPromise = dns.promises.lookup;

function addressesOf(host) {
  const known = JSON.parse(readFileSync(process.env.MOVING_NAMES, "utf8"));
  return known[host]?.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
}

dns.lookup = (host, options, callback) => {
  const addresses = addressesOf(host);
  if (!addresses) return realLookup(host, options, callback);
  const done = callback ?? options;
  const [first] = addresses;
  process.nextTick(() => {
    if (!first)
      done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" }));
    else if (options?.all) done(null, addresses);
    else done(null, first.address, first.family);
  });
};

dns.promises.lookup = async (host, options) => {
  const addresses = addressesOf(host);
  if (!addresses) return realPromise(host, options);
  const [first] = addresses;
  if (!first)
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" });
  return options?.all ? addresses : first;
};

syncBuiltinESMExports();
