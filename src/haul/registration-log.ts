import type { Grant, Registration, RegistrationEvent } from "../client/index.js";
import type { Log } from "../lib/log.js";
import { inSeconds } from "../lib/seconds.js";

/** Writes what happens to a registration as lines `haul.<event>`; no field holds a secret. */
export function logRegistration(registration: Registration, pulse: string, log: Log): void {
  let lastProblem = "";

  /** Attempts that fail for the reason already told are for debugging only. */
  function attemptFailed(event: Extract<RegistrationEvent, { type: "attempt-failed" }>): void {
    const { attempt, error, retryInMs } = event;
    const level = error.message === lastProblem ? "debug" : "warn";
    lastProblem = error.message;
    const detail = `not registered yet; trying again in ${inSeconds(retryInMs)}`;
    log[level]({ pulse, attempt, error: error.message, detail }, "haul.attempt-failed");
  }

  let isWaiting = false;

  /** Once for each time that it waits. */
  function noteApproval({ serviceId, waitsForApproval }: Grant): void {
    const detail = `managers see this Haul once an operator has approved it: pulse services approve ${serviceId}`;
    if (waitsForApproval && !isWaiting) log.info({ pulse, detail }, "haul.waits-for-approval");
    isWaiting = waitsForApproval === true;
  }

  registration.subscribe((event) => {
    write(event);
    if ("grant" in event) noteApproval(event.grant);
  });

  function write(event: RegistrationEvent) {
    switch (event.type) {
      case "attempt-failed":
        return attemptFailed(event);
      case "registered":
        lastProblem = "";
        return log.info({ pulse, ...at(event), ...about(event.grant) }, "haul.registered");
      case "updated":
        lastProblem = "";
        return log.info({ pulse, ...about(event.grant) }, "haul.updated");
      case "reconnected": {
        lastProblem = "";
        const { grant, registeredAnew } = event;
        return log.info(
          { pulse, ...at(event), ...about(grant), registeredAnew },
          "haul.reconnected",
        );
      }
      case "disconnected": {
        const detail = `lost Pulse; trying again in ${inSeconds(event.retryInMs)}`;
        return log.warn({ pulse, error: event.error.message, detail }, "haul.disconnected");
      }
      case "standalone": {
        const detail = `not registered within ${inSeconds(event.afterMs)}: Haul goes on alone and keeps trying to register`;
        return log.warn({ pulse, error: event.error.message, detail }, "haul.standalone");
      }
      case "rejected": {
        const detail = `Pulse refuses this Haul: check its token and its state directory; trying again in ${inSeconds(event.retryInMs)}`;
        return log.error({ pulse, error: event.error.message, detail }, "haul.rejected");
      }
      case "superseded":
        return log.error({ pulse, detail: SUPERSEDED }, "haul.superseded");
      case "failed":
        return log.error({ pulse, error: event.error.message, detail: FAILED }, "haul.failed");
      case "closed":
        return log.info({ pulse }, "haul.unregistered");
    }
  }
}

const SUPERSEDED =
  "two processes share one identity: another Haul with this state directory, or a copy of it, has registered, so this one has stopped; give each a --data of its own, then restart this one";
const FAILED =
  "Pulse refuses what Haul wants to register: mend what the error names in the configuration file, or restart Haul with that option mended";

/** Which node it is, where there is a choice. */
function at({ endpoint }: { readonly endpoint?: string }) {
  return endpoint === undefined ? {} : { endpoint };
}

function about({ serviceId, instanceId, entryName }: Grant) {
  return { serviceId, instanceId, ...(entryName !== undefined && { entryName }) };
}
