import { holdProcess, systemClock } from "../lib/clock.js";
import { systemRandom } from "../lib/random.js";
import { connectWithoutRetry } from "./connection.js";
import { logEvents } from "./event-log.js";
import { createIdentitySource } from "./identity.js";
import { createInstanceToken } from "./instance-token.js";
import { checkRegistrationOptions } from "./options.js";
import { DEFAULT_STANDALONE_AFTER_MS } from "./pace.js";
import type { Registration, RegistrationOptions } from "./registration.js";
import { startSession } from "./session.js";
import { endpointsOf, plainTextExposure } from "./target.js";

/**
 * Registers a service and keeps it alive, in the background. Returns at once;
 * what happens shows in the events.
 *
 * Nothing here keeps the process alive or throws later: failures are events.
 *
 * @throws TypeError at once, if an option cannot be used; it names the option.
 */
export function startRegistration(options: RegistrationOptions): Registration {
  checkRegistrationOptions(options);
  const { pulse, token, signal, log } = options;
  const random = options.random ?? systemRandom;
  const clock = options.clock ?? systemClock;
  const endpoints = endpointsOf(options, { clock, random });
  const exposure = plainTextExposure(pulse);
  if (exposure) log?.warn({ event: "plain-text", pulse }, exposure);
  const { identity } = options;
  const own = createInstanceToken("directory" in identity ? identity.directory : undefined, log);
  const session = startSession({
    dial: () => connectWithoutRetry(endpoints, token, own),
    ownToken: own,
    endpoints,
    identity: createIdentitySource(identity, random),
    service: options.service,
    credentials: options.credentials,
    health: options.health,
    ttlMs: options.ttlMs,
    standaloneAfterMs: options.standaloneAfterMs ?? DEFAULT_STANDALONE_AFTER_MS,
    clock,
    random,
    onEvent: log ? logEvents(log, endpoints.addresses.join(",")) : () => {},
  });
  closeOnAbort(session, signal);
  return session;
}

/**
 * Like `startRegistration`, and waits until the service is registered or goes
 * on standalone. While it waits the process stays alive.
 *
 * @throws InvalidRequestError if Pulse refuses the request as invalid,
 *   TypeError if an option cannot be used, the signal's reason when it aborts.
 */
export async function registerWithRetry(options: RegistrationOptions): Promise<Registration> {
  options.signal?.throwIfAborted();
  return settled(startRegistration(options), options);
}

function closeOnAbort(session: Registration, signal: AbortSignal | undefined): void {
  if (!signal) return;
  const onAbort = () => void session.close();
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  session.subscribe((event) => {
    if (event.type === "closed") signal.removeEventListener("abort", onAbort);
  });
}

function settled(session: Registration, options: RegistrationOptions): Promise<Registration> {
  const { clock = systemClock, signal } = options;
  return new Promise((resolve, reject) => {
    // The session's own timers would let the process end while someone awaits this.
    const hold = holdProcess(clock);
    const unsubscribe = session.subscribe((event) => {
      switch (event.type) {
        case "registered":
        case "standalone":
          resolve(session);
          break;
        case "failed":
          reject(event.error);
          break;
        case "closed":
          reject(signal?.reason ?? new Error("the registration was closed"));
          break;
        default:
          return;
      }
      hold.release();
      unsubscribe();
    });
  });
}
