import type { Clock } from "../lib/clock.js";
import { hostOf, isLoopbackHost } from "../lib/host.js";
import type { Random } from "../lib/random.js";
import { Endpoints } from "../wire/endpoints.js";
import { checkTlsOptions, type TlsSource } from "../wire/tls-options.js";
import { parsePulseAddresses } from "./addresses.js";

/** How the connection to Pulse is kept from others. */
export interface PulseSecurity {
  /**
   * For `https` addresses: how Pulse's certificate is checked, and which one is shown to it.
   * A function is asked before each connection, so that renewed files are taken; what it
   * throws is a failed attempt. Left out, what Node trusts by itself is trusted.
   */
  readonly tls?: TlsSource;
  /**
   * `true` allows `http` to other hosts than this one: whoever can read the traffic then
   * reads the token, and with it the passwords of all download clients.
   */
  readonly insecure?: boolean;
}

/** Where Pulse is, and how the connection to it is kept from others. */
export interface PulseTarget extends PulseSecurity {
  readonly pulse: string;
}

/**
 * The addresses of Pulse, if calls may go there like that.
 * @throws TypeError that names the option and says what to do.
 */
export function checkTarget({ pulse, tls, insecure }: PulseTarget): readonly string[] {
  const addresses = parsePulseAddresses(pulse);
  if (insecure !== undefined && typeof insecure !== "boolean")
    throw new TypeError("insecure must be true or false");
  if (tls !== undefined) {
    if (typeof tls !== "function") checkTlsOptions(tls);
    if (addresses.some((address) => address.startsWith("http:")))
      throw new TypeError(
        "tls is given, but pulse is an http address, and one without http:// or https:// is that too: write it with https://, or leave tls out",
      );
  }
  const exposure = plainTextExposure(pulse);
  if (exposure !== undefined && !insecure)
    throw new TypeError(
      `pulse is refused: ${exposure}. Use https:// (with tls.ca or tls.fingerprint if Pulse made its certificate by itself), or say insecure: true`,
    );
  return addresses;
}

/** The endpoints behind a target. @throws TypeError as `checkTarget` does */
export function endpointsOf(
  target: PulseTarget,
  injected: { readonly clock?: Clock; readonly random?: Random },
): Endpoints {
  const { tls } = target;
  return new Endpoints(checkTarget(target), { ...injected, ...(tls !== undefined && { tls }) });
}

/**
 * What plain text to these addresses gives away, in a sentence without its full stop;
 * undefined if none of it leaves this host.
 * @throws TypeError if these are no addresses
 */
export function plainTextExposure(pulse: string): string | undefined {
  const exposed = parsePulseAddresses(pulse).find(
    (address) => address.startsWith("http:") && !isLoopbackHost(hostOf(new URL(address))),
  );
  return (
    exposed &&
    `${exposed} is plain text to another host, and whoever can read the traffic reads the token, with which he gets what it may: a service's API key, for managers the passwords of all download clients`
  );
}
