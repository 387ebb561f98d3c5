import { isSameText } from "../lib/same-text.js";
import { isApprovedAfter } from "./approval.js";
import type { Catalog } from "./catalog.js";
import type { ChangeReason } from "./change.js";
import { type Command, commitService, type DecisionContext } from "./decision.js";
import {
  DOWNLOAD_CLIENT_TYPE,
  type EntryRecord,
  freeEntryName,
  newOperatorFields,
  UNTRIED,
} from "./entry.js";
import { DomainError } from "./errors.js";
import { leaseIdOf } from "./lease.js";
import {
  type CredentialState,
  type Holding,
  isGone,
  type ServiceRecord,
  type ServiceSpec,
  type ServiceStatus,
} from "./service.js";
import { revokedTokensOf, withTokens } from "./token-command.js";
import { isFromSameParty, refuseOperatorsPassword } from "./trust.js";

/** A Register that has passed the checks of its form. */
export interface RegisterRequest {
  readonly spec: ServiceSpec;
  /** Empty: the identity is (type, name). */
  readonly instanceId: string;
  /** Hash of the secret that was sent; undefined if none was. */
  readonly secretHash: string | undefined;
  /** Undefined: keep what is stored; empty: clear it. */
  readonly username: string | undefined;
  readonly apiKey: string | undefined;
  readonly credentialState: CredentialState | undefined;
  /** OFFLINE: it lives, and what it stands for does not. */
  readonly status: ServiceStatus;
  readonly statusReason: string;
  readonly ttlMs: number;
  /** The lease that the registrant says it holds; empty if none. */
  readonly heldLeaseId: string;
  /** Id of the caller's token. */
  readonly tokenId: string;
  /** Whether the stream of a lease is open, here or at the node that holds it; asked at the last moment. */
  readonly isAttached: (leaseId: string, holding: Holding | undefined) => boolean;
  /** When a service's credentials were last accepted, as far as is known; asked at the last moment. */
  readonly verifiedAt: (service: ServiceRecord) => number | undefined;
}

export interface RegisterOutcome {
  readonly service: ServiceRecord;
  /** Set only if Pulse made the secret. */
  readonly newSecret: string | undefined;
}

/** What holds for every Register. */
export interface RegistrationRules {
  /** Past it a new registration is refused; present ones may register again. */
  readonly maxServices: number;
  /** As `maxServices`, of those that registered last with one token. Left out: no bound. */
  readonly maxServicesPerToken?: number;
  /** Whether what registers for the first time waits for an operator. Left out: no. */
  readonly requireApproval?: boolean;
}

/**
 * Makes or replaces a registration.
 * @param hash of a secret; injected since core does no cryptography
 * @throws DomainError: the identity belongs to someone else, or the registry is full.
 */
export function register(
  request: RegisterRequest,
  hash: (secret: string) => string,
  rules: RegistrationRules,
): Command<RegisterOutcome> {
  return (context) => {
    const before = findIdentity(request, context);
    if (!before || before.removed) checkRoom(request, rules, context);
    const pinsNow = request.instanceId !== "" && before?.secretHash === undefined;
    const newSecret = pinsNow && request.secretHash === undefined ? context.newSecret() : undefined;
    const secretHash =
      newSecret === undefined ? (request.secretHash ?? before?.secretHash) : hash(newSecret);
    const id = before?.id ?? context.newId();
    const generation = (before?.generation ?? 0n) + 1n;
    const service: ServiceRecord = {
      id,
      instanceId: before?.instanceId ?? (request.instanceId || context.newId()),
      secretHash,
      spec: request.spec,
      ...credentials(request, before, context.at),
      status: request.status,
      statusReason: request.statusReason || keptReason(request, before),
      saidOffline: request.status === "offline",
      generation,
      leaseId: leaseIdOf(id, generation, context.newSecret()),
      leaseActive: true,
      leaseCredited: false,
      ttlMs: request.ttlMs,
      leaseExpiresAt: context.registryNow + request.ttlMs,
      lastSeenAt: context.at,
      createdAt: before?.createdAt ?? context.at,
      revision: context.revision,
      approved: isApprovedAfter(request, before, rules.requireApproval ?? false),
      tokenId: request.tokenId,
      removed: false,
    };
    if (before) refuseOperatorsPassword(request, before, service, context.catalog.entryOf(id));
    return {
      commit: commitService(
        context,
        before,
        service,
        reasonOf(request, before, context),
        firstEntry(service, context),
      ),
      outcome: { service, newSecret },
    };
  };
}

/** How long to wait before asking for room again, in ms. */
const FULL_RETRY_AFTER_MS = 60_000;

function checkRoom(
  { tokenId }: RegisterRequest,
  { maxServices, maxServicesPerToken = Number.POSITIVE_INFINITY }: RegistrationRules,
  { catalog }: DecisionContext,
): void {
  const retryAfterMs = FULL_RETRY_AFTER_MS;
  if (catalog.serviceCount >= maxServices)
    throw new DomainError(`this registry holds at most ${maxServices} services`, {
      kind: "quota",
      reason: "TOO_MANY_SERVICES",
      retryAfterMs,
    });
  if (catalog.servicesOfToken(tokenId) >= maxServicesPerToken)
    throw new DomainError(
      `at most ${maxServicesPerToken} services may be registered with one token: deregister some, or use another`,
      { kind: "quota", reason: "TOO_MANY_SERVICES_OF_TOKEN", retryAfterMs },
    );
}

function reasonOf(
  request: RegisterRequest,
  before: ServiceRecord | undefined,
  { holdingOf }: DecisionContext,
): ChangeReason {
  if (!before || before.removed) return "registered";
  const isOwn = request.heldLeaseId === before.leaseId || !before.leaseActive;
  return !isOwn && request.isAttached(before.leaseId, holdingOf(before.id))
    ? "superseded"
    : "re-registered";
}

/** The service that a Register would replace, as far as is known now. */
export function serviceToReplace(
  { instanceId, spec }: Pick<RegisterRequest, "instanceId" | "spec">,
  catalog: Catalog,
): ServiceRecord | undefined {
  return instanceId === ""
    ? catalog.anonymousService(spec.type, spec.name)
    : catalog.serviceByInstance(instanceId);
}

/** The record of the identity that the request claims, if it may claim it. */
function findIdentity(
  request: RegisterRequest,
  { catalog }: DecisionContext,
): ServiceRecord | undefined {
  const { type, name } = request.spec;
  if (request.instanceId === "") {
    if (catalog.isPinnedPair(type, name))
      throw new DomainError(
        `the name ${JSON.stringify(name)} of type ${type} belongs to an instance with a secret; send its instance_id and instance_secret, or choose another name`,
        { kind: "denied", reason: "IDENTITY_PINNED" },
      );
    return serviceToReplace(request, catalog);
  }
  const before = serviceToReplace(request, catalog);
  if (!before) return undefined;
  if (before.secretHash === undefined) checkMayPin(request, before);
  else if (!isSecretOf(before, request.secretHash))
    throw new DomainError(
      "instance_secret does not fit this instance_id: send the secret of its first Register, or choose another instance_id",
      { kind: "denied", reason: "SECRET_MISMATCH" },
    );
  return before;
}

/**
 * The instance id of a service that registered without one is Pulse's, and everybody
 * who lists services reads it: it proves nothing. Only who registered knows the lease.
 */
function checkMayPin({ heldLeaseId }: RegisterRequest, { leaseId }: ServiceRecord): void {
  if (!isSameText(heldLeaseId, leaseId))
    throw new DomainError(
      "this instance_id is of a service that registered without one: send the lease_id of its last Register to give it a secret, or choose another instance_id",
      { kind: "denied", reason: "IDENTITY_UNPROVEN" },
    );
}

function isSecretOf({ secretHash }: ServiceRecord, sent: string | undefined): boolean {
  return secretHash !== undefined && sent !== undefined && isSameText(secretHash, sent);
}

/** The reason of a Register that gives none: a status that stays keeps its own. */
function keptReason(request: RegisterRequest, before: ServiceRecord | undefined): string {
  if (!before || before.removed) return "registered";
  const isKept = before.status === request.status && !isGone(before);
  return isKept ? before.statusReason : "re-registered";
}

/** Credentials after a Register; new ones are unverified unless the registrant says better. */
function credentials(
  request: RegisterRequest,
  before: ServiceRecord | undefined,
  at: number,
): Pick<ServiceRecord, "username" | "apiKey" | "credentialState" | "verifiedAt"> {
  const known = before?.removed ? undefined : before;
  const kept = known && isFromSameParty(request, known) ? known : undefined;
  const username = request.username ?? kept?.username ?? "";
  const apiKey = request.apiKey ?? kept?.apiKey ?? "";
  const unchanged = known && known.username === username && known.apiKey === apiKey;
  // What is said of credentials that Pulse did not keep is not true of none.
  const isCleared = !unchanged && known && !kept && request.apiKey === undefined;
  const said = isCleared ? undefined : request.credentialState;
  const same = unchanged ? kept : undefined;
  const credentialState = said ?? same?.credentialState ?? "unverified";
  // A client that does not answer has not accepted anything just now.
  const isNews = said === "verified" && request.status !== "offline";
  const verifiedAt = isNews ? at : same && request.verifiedAt(same);
  return {
    username,
    apiKey,
    credentialState,
    verifiedAt: credentialState === "rejected" ? undefined : verifiedAt,
  };
}

/**
 * The entry of a download client that never had one. Its id follows from the instance
 * id: a registry that has lost everything gives it to the same client again, and
 * what managers have written down of it still holds.
 */
function firstEntry(service: ServiceRecord, context: DecisionContext): EntryRecord | undefined {
  const { catalog, at, revision } = context;
  if (service.spec.type !== DOWNLOAD_CLIENT_TYPE || catalog.entryOf(service.id)) return undefined;
  const name = freeEntryName(service.spec.name, (wanted) => !!catalog.entryNamed(wanted));
  return {
    ...newOperatorFields(name),
    id: context.stableId(`download client of ${service.instanceId}`),
    origin: { source: "auto", serviceId: service.id, overrides: {} },
    ...UNTRIED,
    createdAt: at,
    updatedAt: at,
    revision,
    deletedAt: undefined,
  };
}

export interface DeregisterRequest {
  readonly instanceId: string;
  readonly secretHash: string | undefined;
  /** An admin may remove any registration without its secret. */
  readonly isAdmin: boolean;
}

export interface DeregisterOutcome {
  /** False if there was nothing to remove. */
  readonly removed: boolean;
  readonly revision: bigint;
}

/**
 * Removes a registration and hides its entry. The row stays, without
 * credentials, so that the generation never falls and the entry's name and the
 * operator's settings wait for a return. The instance's own token ends with it.
 * @throws DomainError of kind `denied` if the secret does not fit.
 */
export function deregister(request: DeregisterRequest): Command<DeregisterOutcome> {
  return (context) => {
    const before = context.catalog.serviceByInstance(request.instanceId);
    const mayRemove =
      request.isAdmin || before?.secretHash === undefined || isSecretOf(before, request.secretHash);
    if (!mayRemove)
      throw new DomainError("instance_secret does not fit this instance_id", {
        kind: "denied",
        reason: "SECRET_MISMATCH",
      });
    if (!before || before.removed) {
      const { revision } = context.catalog;
      return { commit: undefined, outcome: { removed: false, revision } };
    }
    const after = removedService(before, "deregistered", context);
    const commit = commitService(context, before, after, "deregistered");
    return {
      commit: withTokens(commit, revokedTokensOf(before.instanceId, context)),
      outcome: { removed: true, revision: context.revision },
    };
  };
}

/** What stays of a service that is removed: its identity and its generation, without credentials. */
function removedService(
  before: ServiceRecord,
  statusReason: "deregistered" | "forgotten",
  { revision }: DecisionContext,
): ServiceRecord {
  return {
    ...before,
    username: "",
    apiKey: "",
    ...UNTRIED,
    status: "offline",
    statusReason,
    saidOffline: false,
    leaseActive: false,
    revision,
    removed: true,
  };
}

/**
 * Removes a service that has been OFFLINE for longer than `forgetAfterMs`, in
 * registry time: not a day counts on which no Pulse ran, so that nobody is
 * forgotten who had nobody to return to. Outcome: whether it was removed.
 */
export function forget(serviceId: string, forgetAfterMs: number): Command<boolean> {
  return (context) => {
    const before = context.catalog.service(serviceId);
    if (!before || !isForgettable(before, context.registryNow, forgetAfterMs))
      return { commit: undefined, outcome: false };
    const after = removedService(before, "forgotten", context);
    return { commit: commitService(context, before, after, "forgotten"), outcome: true };
  };
}

/**
 * An instance is gone since its lease ran out, give or take a TTL. Of one that lives and
 * is OFFLINE by its own word the record tells no such thing: it is as of its last change.
 */
export function isForgettable(
  service: ServiceRecord,
  registryNow: number,
  forgetAfterMs: number,
): boolean {
  const { removed, leaseExpiresAt } = service;
  return !removed && isGone(service) && registryNow - leaseExpiresAt > forgetAfterMs;
}
