import type { Log } from "../lib/log.js";
import { inSeconds } from "../lib/seconds.js";
import { failureOf } from "./failure.js";
import type { Grant, RegistrationEvent } from "./registration.js";

/** Writes each event of a registration as one line. No event holds a secret. */
export function logEvents(log: Log, pulse: string): (event: RegistrationEvent) => void {
  let isWaiting = false;

  /** Once for each time that it waits. */
  function noteApproval({ serviceId, waitsForApproval }: Grant): void {
    if (waitsForApproval && !isWaiting)
      log.info(
        { event: "waits-for-approval", pulse, serviceId },
        `waits for approval: \`pulse services approve ${serviceId}\` lets managers see this service`,
      );
    isWaiting = waitsForApproval === true;
  }

  function write(event: RegistrationEvent) {
    const base = { event: event.type, pulse };
    switch (event.type) {
      case "registered":
        return log.info(
          { ...base, ...at(event.endpoint), ...about(event.grant) },
          "registered with Pulse",
        );
      case "updated":
        return log.info({ ...base, ...about(event.grant) }, "updated with Pulse");
      case "reconnected": {
        const { registeredAnew, endpoint } = event;
        return log.info(
          { ...base, ...at(endpoint), ...about(event.grant), registeredAnew },
          "reconnected to Pulse",
        );
      }
      case "standalone": {
        const refused = failureOf(event.error).kind === "refused";
        const what = refused ? "refused this service" : "was not reachable";
        return log.info(
          { ...base, error: event.error.message },
          `Pulse at ${pulse} ${what} for ${inSeconds(event.afterMs)}: ` +
            "this program goes on alone, and keeps trying to register in the background",
        );
      }
      case "closed":
        return log.info(base, "the registration with Pulse has ended");
      case "disconnected":
        return log.warn(
          { ...base, error: event.error.message },
          `lost the connection to Pulse; next attempt in ${inSeconds(event.retryInMs)}`,
        );
      case "attempt-failed":
        return log.warn(
          { ...base, attempt: event.attempt, error: event.error.message },
          `attempt ${event.attempt} to reach Pulse failed; next attempt in ${inSeconds(event.retryInMs)}`,
        );
      case "rejected":
        return log.warn(
          { ...base, error: event.error.message },
          `Pulse refuses this service; check its token and identity. Next attempt in ${inSeconds(event.retryInMs)}`,
        );
      case "superseded":
        return log.warn(
          base,
          "another process has registered with this identity, so this one has stopped: " +
            "give each its own identity directory",
        );
      case "failed":
        return log.error({ ...base, error: event.error.message }, "the registration has failed");
    }
  }

  return (event) => {
    write(event);
    if ("grant" in event) noteApproval(event.grant);
  };
}

function at(endpoint: string | undefined) {
  return endpoint === undefined ? {} : { endpoint };
}

function about(grant: { serviceId: string; instanceId: string; entryName: string | undefined }) {
  const { serviceId, instanceId, entryName } = grant;
  return { serviceId, instanceId, ...(entryName !== undefined && { entryName }) };
}
