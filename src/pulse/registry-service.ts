import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  ApproveServiceRequest,
  ApproveServiceResponseSchema,
  DeregisterRequest,
  DeregisterResponseSchema,
  GetServiceRequest,
  GetServiceResponseSchema,
  HeartbeatRequest,
  HeartbeatResponse,
  ListServicesRequest,
  ListServicesResponseSchema,
  RegisterRequest,
  RegisterResponseSchema,
  RegistryService,
  WatchServicesRequest,
  WatchServicesResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { approve } from "../core/approval.js";
import { isVisible, resolveEntry } from "../core/entry.js";
import { SECRET_RULE, USERNAME_RULE } from "../core/entry-fields.js";
import { collect, type FieldViolation, invalid, invalidField, notFound } from "../core/errors.js";
import {
  checkServiceFilter,
  matchesService,
  type ServiceFilter,
  type ServiceTraits,
  traitsOfService,
} from "../core/filter.js";
import { checkTtl, type LeasePolicy } from "../core/lease.js";
import {
  type RegisterRequest as CheckedRegister,
  deregister,
  type RegistrationRules,
  register,
  serviceToReplace,
} from "../core/registration.js";
import type { ServiceRecord, ServiceSpec, ServiceStatus } from "../core/service.js";
import { checkServiceSpec } from "../core/service-spec.js";
import { checkText, type TextRule } from "../core/text.js";
import type { Random } from "../lib/random.js";
import { type Caller, callerOf, confirmInstance } from "./authenticate.js";
import { freshenFor, runFor } from "./caller-registry.js";
import {
  downloadClientOf,
  leaseOf,
  readCredentialState,
  readDuration,
  readSpec,
  readStatus,
  serviceOf,
} from "./convert.js";
import { deferResponses } from "./deferred-responses.js";
import type { EntrySigns } from "./entry-signs.js";
import { explain } from "./explain.js";
import type { ScopeTable } from "./guard.js";
import type { HeartbeatStreams } from "./heartbeat-streams.js";
import type { History } from "./history.js";
import { withInstanceToken } from "./joining.js";
import type { Leases } from "./leases.js";
import { pageOf } from "./page.js";
import type { Registry } from "./registry.js";
import { writeResumeToken } from "./resume-token.js";
import { storeUnavailable } from "./status.js";
import { hashSecret } from "./tokens.js";
import type { WatchHub } from "./watch-hub.js";

const INSTANCE_ID_RULE: TextRule = {
  max: 128,
  pattern: /^[A-Za-z0-9._:-]+$/,
  form: "letters, digits, dots, colons, hyphens and underscores",
};
const INSTANCE_SECRET_RULE: TextRule = { min: 16, max: 512 };
const STATUS_REASON_RULE: TextRule = { max: 256 };

export const REGISTRY_SCOPES: ScopeTable<typeof RegistryService> = {
  register: ["register", "join"],
  heartbeat: ["register"],
  deregister: ["register"],
  listServices: ["observe", "discover"],
  getService: ["observe", "discover"],
  watchServices: ["observe", "discover"],
  explainService: ["observe", "discover"],
  approveService: ["admin"],
};

export interface RegistryServiceOptions {
  readonly registry: Registry;
  readonly leases: Leases;
  readonly signs: EntrySigns;
  readonly streams: HeartbeatStreams;
  readonly policy: LeasePolicy;
  readonly rules: RegistrationRules;
  readonly history: History;
  readonly hub: WatchHub<ServiceRecord, ServiceTraits, WatchServicesResponse>;
  readonly random: Random;
}

export function createRegistryService(
  options: RegistryServiceOptions,
): ServiceImpl<typeof RegistryService> {
  const { registry, leases, history } = options;
  return {
    register: (request, context) => handleRegister(request, context, options),
    heartbeat: (requests, context) => handleHeartbeat(requests, context, options),
    deregister: (request, context) => handleDeregister(request, context, registry),
    listServices: (request, context) => handleListServices(request, context, options),
    getService: (request, context) => handleGetService(request, context, options),
    watchServices: (request, context) => handleWatchServices(request, context, options),
    async explainService({ id }, context) {
      const stale = await freshenFor(context, registry);
      return { ...explain(id, { catalog: registry.catalog, history, leases }), stale };
    },
    approveService: (request, context) => handleApprove(request, context, options),
  };
}

async function handleRegister(
  request: RegisterRequest,
  context: HandlerContext,
  { registry, leases, signs, policy, rules, random }: RegistryServiceOptions,
): Promise<MessageInitShape<typeof RegisterResponseSchema>> {
  confirmInstance(context, request.instanceId);
  const checked = checkRegister(request, callerOf(context), policy, {
    isAttached: (leaseId, holding) =>
      leases.isAttached(leaseId) || (holding?.leaseId === leaseId && holding.nodeId !== undefined),
    verifiedAt: (before) => leases.verifiedAt(before),
  });
  const replaced = serviceToReplace(checked, registry.catalog);
  const { service, newSecret, instanceToken } = await runFor(
    context,
    registry,
    withInstanceToken(register(checked, hashSecret, rules), callerOf(context), random),
    replaced?.id,
  );
  const entry = registry.catalog.entryOf(service.id);
  const resolved = entry && resolveEntry(entry, service);
  return {
    service: serviceOf(service, service.lastSeenAt),
    lease: leaseOf(service, leases.grantOf(service)),
    generation: service.generation,
    epoch: registry.epoch,
    revision: service.revision,
    instanceSecret: newSecret ?? "",
    instanceToken,
    ...(resolved && isVisible(resolved)
      ? { downloadClient: downloadClientOf(resolved, signs.of(resolved), false) }
      : {}),
  };
}

function checkRegister(
  request: RegisterRequest,
  { tokenId, scopes }: Caller,
  policy: LeasePolicy,
  known: Pick<CheckedRegister, "isAttached" | "verifiedAt">,
): CheckedRegister {
  const { service, instanceId, instanceSecret, serviceUsername, serviceApiKey } = request;
  const violations: FieldViolation[] = [];
  const spec = collect(violations, () => readService(service));
  checkText(violations, "instance_id", instanceId, INSTANCE_ID_RULE);
  if (instanceId === "" && scopes.includes("join"))
    violations.push({
      field: "instance_id",
      description: "is required with a join token: choose one, and keep it",
    });
  if (instanceSecret !== "") {
    checkText(violations, "instance_secret", instanceSecret, INSTANCE_SECRET_RULE);
    if (instanceId === "")
      violations.push({ field: "instance_secret", description: "needs an instance_id to prove" });
  }
  checkText(violations, "service_username", serviceUsername ?? "", USERNAME_RULE);
  checkText(violations, "service_api_key", serviceApiKey ?? "", SECRET_RULE);
  const ttlMs = collect(violations, () =>
    checkTtl(request.requestedTtl && readDuration(request.requestedTtl), policy),
  );
  const credentialState = collect(violations, () =>
    readCredentialState(request.credentialState, "credential_state"),
  );
  const status = collect(violations, () => readFirstStatus(request.status));
  checkText(violations, "status_reason", request.statusReason, STATUS_REASON_RULE);
  if (!spec || ttlMs === undefined || !status || violations.length > 0) throw invalid(violations);
  return {
    spec,
    instanceId,
    secretHash: instanceSecret === "" ? undefined : hashSecret(instanceSecret),
    username: serviceUsername,
    apiKey: serviceApiKey,
    credentialState,
    status,
    statusReason: request.statusReason,
    ttlMs,
    heldLeaseId: request.leaseId,
    tokenId,
    ...known,
  };
}

function readService(service: RegisterRequest["service"]): ServiceSpec {
  if (!service) throw invalidField("service", "is required");
  return checkServiceSpec(readSpec(service));
}

function readFirstStatus(value: RegisterRequest["status"]): ServiceStatus {
  const status = readStatus(value, "status") ?? "online";
  if (status === "pending")
    throw invalidField("status", "cannot be PENDING in a Register: an operator decides who waits");
  return status;
}

function handleHeartbeat(
  requests: AsyncIterable<HeartbeatRequest>,
  context: HandlerContext,
  { streams }: RegistryServiceOptions,
): AsyncIterable<HeartbeatResponse> {
  return streams.open(requests, callerOf(context));
}

async function handleDeregister(
  { instanceId, instanceSecret }: DeregisterRequest,
  context: HandlerContext,
  registry: Registry,
): Promise<MessageInitShape<typeof DeregisterResponseSchema>> {
  if (instanceId === "") throw invalidField("instance_id", "is required");
  confirmInstance(context, instanceId);
  return runFor(
    context,
    registry,
    deregister({
      instanceId,
      secretHash: instanceSecret === "" ? undefined : hashSecret(instanceSecret),
      isAdmin: callerOf(context).scopes.includes("admin"),
    }),
  );
}

async function handleListServices(
  request: ListServicesRequest,
  context: HandlerContext,
  { registry, leases, history }: RegistryServiceOptions,
): Promise<MessageInitShape<typeof ListServicesResponseSchema>> {
  const filter = readFilter(request);
  const stale = await freshenFor(context, registry);
  const { catalog } = registry;
  const page = pageOf(
    [...catalog.services()].filter((service) => matchesService(filter, traitsOfService(service))),
    ({ id }) => id,
    (service) => [service],
    request,
  );
  return {
    services: page.items.map((service) => serviceOf(service, leases.lastSeenAt(service))),
    nextPageToken: page.nextPageToken,
    revision: catalog.revision,
    resumeToken: writeResumeToken(history.point),
    stale,
  };
}

function handleWatchServices(
  request: WatchServicesRequest,
  context: HandlerContext,
  { registry, hub }: RegistryServiceOptions,
): AsyncIterable<WatchServicesResponse> {
  const filter = readFilter(request);
  return deferResponses(async () => {
    await freshenFor(context, registry);
    return hub.watch({
      matches: (traits) => matchesService(filter, traits),
      withCredentials: false,
      filterKey: JSON.stringify(filter),
      resumeToken: request.resumeToken,
      tokenId: callerOf(context).tokenId,
    });
  });
}

/** What lists and watches of services have in common. */
function readFilter(
  request: Pick<ListServicesRequest, "type" | "capabilities" | "statuses">,
): ServiceFilter {
  const { type, capabilities } = request;
  const statuses = request.statuses.flatMap(
    (value, i) => readStatus(value, `statuses[${i}]`) ?? [],
  );
  const filter = { type, capabilities, statuses };
  checkServiceFilter(filter);
  return filter;
}

async function handleApprove(
  { id }: ApproveServiceRequest,
  context: HandlerContext,
  { registry, leases }: RegistryServiceOptions,
): Promise<MessageInitShape<typeof ApproveServiceResponseSchema>> {
  if (id === "") throw invalidField("id", "is required");
  const { service, revision } = await runFor(
    context,
    registry,
    approve(id, callerOf(context).tokenName),
  );
  return { service: serviceOf(service, leases.lastSeenAt(service)), revision };
}

async function handleGetService(
  { id }: GetServiceRequest,
  context: HandlerContext,
  { registry, leases }: RegistryServiceOptions,
): Promise<MessageInitShape<typeof GetServiceResponseSchema>> {
  if (id === "") throw invalidField("id", "is required");
  const stale = await freshenFor(context, registry);
  const service = registry.catalog.presentService(id);
  if (!service) throw stale ? storeUnavailable() : notFound("service", id);
  return { service: serviceOf(service, leases.lastSeenAt(service)), stale };
}
