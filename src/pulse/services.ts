import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.js";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import type { LeasePolicy } from "../core/lease.js";
import type { RegistrationRules } from "../core/registration.js";
import type { Clock } from "../lib/clock.js";
import { createProbeRule } from "../lib/probe-address.js";
import type { Store } from "../store/store.js";
import type { Health } from "../wire/health.js";
import { createReflection } from "../wire/reflection.js";
import { type Mount, mount } from "../wire/server.js";
import type { AuditRecorder } from "./audit-recorder.js";
import { AUDIT_SCOPES, createAuditService } from "./audit-service.js";
import { createDownloadClientService, DOWNLOAD_CLIENT_SCOPES } from "./download-client-service.js";
import type { Engine } from "./engine.js";
import { type GuardOptions, guard } from "./guard.js";
import { createRegistryService, REGISTRY_SCOPES } from "./registry-service.js";
import { createSecretService, SECRET_SCOPES } from "./secret-service.js";
import { createTokenService, TOKEN_SCOPES } from "./token-service.js";

/** The services of the contract, each of which needs a token. */
const SERVICES = [
  RegistryService,
  DownloadClientService,
  TokenService,
  AuditService,
  SecretService,
] as const;

/** Names by which grpc.health.v1 knows them. */
export const SERVICE_NAMES: readonly string[] = SERVICES.map(({ typeName }) => typeName);

export interface ServicesOptions {
  readonly engine: Engine;
  readonly store: Store;
  readonly audit: AuditRecorder;
  readonly health: Health;
  readonly guarding: GuardOptions;
  readonly policy: LeasePolicy;
  readonly rules: RegistrationRules;
  /** See PulseOptions. */
  readonly allowProbe: readonly string[] | undefined;
  readonly clock: Clock;
}

/** All that the port answers over gRPC, Connect and gRPC-Web. */
export function createServices(options: ServicesOptions): Mount[] {
  const { store, audit, health, guarding, policy, rules, clock } = options;
  const { registry, history, leases, signs, streams, watching, tokenUses } = options.engine;
  const { log, random } = guarding;
  return [
    mount(
      RegistryService,
      guard(
        RegistryService,
        createRegistryService({
          registry,
          leases,
          signs,
          streams,
          policy,
          rules,
          history,
          hub: watching.services,
          random,
        }),
        REGISTRY_SCOPES,
        guarding,
      ),
    ),
    mount(
      DownloadClientService,
      guard(
        DownloadClientService,
        createDownloadClientService({
          registry,
          leases,
          signs,
          history,
          hub: watching.downloadClients,
          audit,
          clock,
          addressRule: createProbeRule(options.allowProbe),
        }),
        DOWNLOAD_CLIENT_SCOPES,
        guarding,
      ),
    ),
    mount(
      TokenService,
      guard(
        TokenService,
        createTokenService({ registry, uses: tokenUses, clock, random }),
        TOKEN_SCOPES,
        guarding,
      ),
    ),
    mount(
      AuditService,
      guard(AuditService, createAuditService(registry, store), AUDIT_SCOPES, guarding),
    ),
    mount(
      SecretService,
      guard(SecretService, createSecretService({ store, audit, log }), SECRET_SCOPES, guarding),
    ),
    health.mount,
    ...createReflection([...SERVICES, health.service], [file_google_rpc_error_details]),
  ];
}
