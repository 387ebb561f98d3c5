import { systemClock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";
import { systemRandom } from "../lib/random.js";
import { createAuthorization } from "./authorization.js";
import { connectBare } from "./connection.js";
import { logEvents } from "./event-log.js";
import { createIdentitySource } from "./identity.js";
import { createInstanceToken } from "./instance-token.js";
import { checkMember, checkToken } from "./options.js";
import { DEFAULT_STANDALONE_AFTER_MS } from "./pace.js";
import type { Registration, RegistrationOptions } from "./registration.js";
import { startSession } from "./session.js";
import { SharedConnection } from "./shared-connection.js";
import { endpointsOf, type PulseSecurity, plainTextExposure } from "./target.js";

/** What the registrations of a group have in common, as for `startRegistration`. */
export interface RegistrationGroupOptions
  extends PulseSecurity,
    Pick<RegistrationOptions, "pulse" | "token" | "clock" | "random"> {
  /** Ends the group like `close()`. */
  readonly signal?: AbortSignal;
  /** Gets every event of those members that bring no log of their own. */
  readonly log?: Log;
}

/** What is one registration's own, as for `startRegistration`; each needs its own identity. */
export type GroupMember = Pick<
  RegistrationOptions,
  "service" | "credentials" | "health" | "identity" | "ttlMs" | "standaloneAfterMs" | "log"
>;

/**
 * Several registrations of one program that share a connection and a heartbeat stream.
 * Each has its own identity, lease, state and events: one that ends, is refused or has to
 * register anew changes nothing for the others. Instances that have joined have a
 * token and so a stream of their own, over the same connection.
 */
export interface RegistrationGroup {
  /**
   * Begins one more registration, like `startRegistration`. Once the group is closed, so
   * is what this returns.
   * @throws TypeError at once, if an option cannot be used; it names the option.
   */
  register(member: GroupMember): Registration;
  /** Closes all of them together: within 2 s, as one alone, and with the connection. Never rejects. */
  close(): Promise<void>;
}

/**
 * A group without members. It connects with the first of them, and keeps neither a timer
 * nor a connection while it has none.
 *
 * @throws TypeError at once, if an option cannot be used; it names the option.
 */
export function createRegistrationGroup(options: RegistrationGroupOptions): RegistrationGroup {
  const { pulse, signal, log } = options;
  const random = options.random ?? systemRandom;
  const clock = options.clock ?? systemClock;
  const endpoints = endpointsOf(options, { clock, random });
  const token = checkToken(options.token);
  const exposure = plainTextExposure(pulse);
  if (exposure) log?.warn({ event: "plain-text", pulse }, exposure);
  const connection = new SharedConnection({
    dial: () => connectBare(endpoints),
    endpoints,
    authorize: createAuthorization(token),
    clock,
  });
  const members = new Set<Registration>();
  let isClosed = false;

  function register(member: GroupMember): Registration {
    checkMember(member);
    const { identity, log: ownLog = log } = member;
    const ownToken = createInstanceToken(
      "directory" in identity ? identity.directory : undefined,
      ownLog,
    );
    const share = connection.share({ ownToken, authorize: createAuthorization(token, ownToken) });
    const session = startSession({
      dial: share.dial,
      endpoints: share.endpoints,
      ownToken,
      identity: createIdentitySource(identity, random),
      service: member.service,
      credentials: member.credentials,
      health: member.health,
      ttlMs: member.ttlMs,
      standaloneAfterMs: member.standaloneAfterMs ?? DEFAULT_STANDALONE_AFTER_MS,
      clock,
      random,
      onEvent: ownLog ? logEvents(ownLog, endpoints.addresses.join(",")) : () => {},
    });
    members.add(session);
    session.subscribe((event) => {
      if (event.type === "closed") members.delete(session);
    });
    if (isClosed) void session.close();
    return session;
  }

  async function close(): Promise<void> {
    isClosed = true;
    signal?.removeEventListener("abort", onAbort);
    await Promise.all([...members].map((member) => member.close()));
  }

  const onAbort = () => void close();
  if (signal?.aborted) isClosed = true;
  else signal?.addEventListener("abort", onAbort, { once: true });
  return { register, close };
}
