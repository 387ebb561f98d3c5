import { holdProcess, systemClock } from "../lib/clock.js";
import type { Registration, RegistrationOptions } from "./registration.js";
import { createRegistrationGroup } from "./registration-group.js";

/**
 * Registers a service and keeps it alive, in the background. Returns at once;
 * what happens shows in the events.
 *
 * Nothing here keeps the process alive or throws later: failures are events.
 *
 * @throws TypeError at once, if an option cannot be used; it names the option.
 */
export function startRegistration(options: RegistrationOptions): Registration {
  const { signal, ...common } = options;
  // A group of one: its signal ends the registration, and is let go with that.
  const registration = createRegistrationGroup(common).register(options);
  closeOnAbort(registration, signal);
  return registration;
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
