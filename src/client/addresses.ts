/** Port of Pulse unless another is named. */
const DEFAULT_PORT = 9696;

/**
 * `http://host:port` or `https://host:port` from `host`, `host:port` or a URL; without a
 * scheme it is `http`, a bare host means port 9696.
 *
 * @throws TypeError that says what a usable address looks like.
 */
export function parsePulseAddress(pulse: string): string {
  const usable =
    "give the address of Pulse as https://host:9696, or as http://127.0.0.1:9696 on its own host";
  if (typeof pulse !== "string" || pulse === "") throw new TypeError(`pulse is empty: ${usable}`);
  const isUrl = pulse.includes("://");
  const url = parseUrl(isUrl ? pulse : `http://${pulse}`);
  if (!url?.hostname || !["http:", "https:"].includes(url.protocol))
    throw new TypeError(`pulse is not an address: ${usable}`);
  // Such a URL may hold a secret, so it is not repeated.
  if (url.username || url.password)
    throw new TypeError(`pulse must not contain a user or password: ${usable}`);
  if (url.pathname !== "/" || url.search || url.hash)
    throw new TypeError(`pulse must not have a path, query or fragment: ${usable}`);
  const schemePort = url.protocol === "https:" ? 443 : 80;
  const namesPort = /:\d+$/.test(pulse);
  const port = url.port || (isUrl || namesPort ? schemePort : DEFAULT_PORT);
  return `${url.protocol}//${url.hostname}:${port}`;
}

/**
 * Several addresses with commas between, each as `parsePulseAddress` reads it, and
 * each once.
 *
 * @throws TypeError that says what usable addresses look like.
 */
export function parsePulseAddresses(pulse: string): readonly string[] {
  if (typeof pulse !== "string") return [parsePulseAddress(pulse)];
  const parts = pulse.split(",").map((part) => part.trim());
  if (parts.length > 1 && parts.includes(""))
    throw new TypeError(
      "pulse has an empty address between its commas: give addresses as in host-a:9696,host-b:9696",
    );
  const addresses = [...new Set(parts.map(parsePulseAddress))];
  if (new Set(addresses.map((address) => new URL(address).protocol)).size > 1)
    throw new TypeError(
      "pulse mixes http and https: give all its addresses the same scheme, as in https://host-a:9696,https://host-b:9696",
    );
  return addresses;
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
