import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AuthScheme,
  Availability,
  CredentialState,
  type DownloadClient,
  DownloadClientSchema,
  Source,
} from "../../gen/pulse/v1/download_client_pb.js";
import {
  type ListDownloadClientsRequest,
  type ListDownloadClientsResponse,
  ListDownloadClientsResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import type {
  HeartbeatRequest,
  HeartbeatResponse,
  RegisterRequest,
  RegisterResponse,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { type Service, ServiceSchema, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";

/**
 * What the bare server answers: the same messages, as large as Pulse's, with the
 * least work that makes them. They are copied from templates, since `create`
 * costs more than the rest: the reference shall be hard to come near.
 */

const ID = "0b8b1c6a-6d4c-4a53-9a0e-0123456789ab";
const NOW = timestampFromMs(Date.now());
const TTL: Duration = durationFromMs(300_000);
const INTERVAL: Duration = durationFromMs(100_000);

const SERVICE_TEMPLATE: Service = create(ServiceSchema, {
  id: ID,
  status: ServiceStatus.ONLINE,
  statusReason: "registered",
  lastSeenTime: NOW,
  createTime: NOW,
});

const ENTRY_TEMPLATE: DownloadClient = create(DownloadClientSchema, {
  id: ID,
  name: "haul-1",
  kind: "qbittorrent",
  protocol: Protocol.TORRENT,
  host: "10.0.0.1",
  port: 8080,
  urlBase: "/qbt",
  username: "admin",
  authScheme: AuthScheme.SESSION,
  enabled: true,
  priority: 50,
  settings: {},
  source: Source.AUTO,
  availability: Availability.ONLINE,
  availabilityReason: "registered",
  credentialState: CredentialState.UNVERIFIED,
  serviceId: ID,
  version: "4.5.2",
  createTime: NOW,
  updateTime: NOW,
  etag: "2s",
});

const services = new Map<string, Service>();
let revision = 0n;

export function answerRegister({ instanceId, service: spec }: RegisterRequest): RegisterResponse {
  revision++;
  const generation = (services.get(instanceId)?.generation ?? 0n) + 1n;
  const service: Service = { ...SERVICE_TEMPLATE, instanceId, spec, generation, revision };
  services.set(instanceId, service);
  return {
    $typeName: "pulse.v1.RegisterResponse",
    service,
    lease: {
      $typeName: "pulse.v1.Lease",
      id: `${ID}.${generation}.0123456789abcdefghijkl`,
      ttl: TTL,
      heartbeatInterval: INTERVAL,
    },
    generation,
    epoch: ID,
    revision,
    instanceSecret: "",
    instanceToken: "",
    downloadClient: { ...ENTRY_TEMPLATE, name: spec?.name ?? "", username: "" },
  };
}

export function answerHeartbeat({ leaseId, sequence }: HeartbeatRequest): HeartbeatResponse {
  return {
    $typeName: "pulse.v1.HeartbeatResponse",
    event: {
      case: "renewed",
      value: {
        $typeName: "pulse.v1.LeaseRenewed",
        leaseId,
        sequence,
        ttl: TTL,
        heartbeatInterval: INTERVAL,
      },
    },
  };
}

const lists = new Map<number, ListDownloadClientsResponse>();

/** The message is kept; it is encoded anew for each call. */
export function answerList({ pageSize }: ListDownloadClientsRequest): ListDownloadClientsResponse {
  const kept = lists.get(pageSize);
  if (kept) return kept;
  const downloadClients = Array.from({ length: pageSize }, (_, index) => ({
    ...ENTRY_TEMPLATE,
    name: `haul-${index}`,
    host: `10.0.0.${index}`,
    password: `key-${index}-0123456789abcdef`,
  }));
  const list = create(ListDownloadClientsResponseSchema, {
    downloadClients,
    revision: 100n,
    resumeToken: "c29tZXRoaW5nIG9wYXF1ZSwgYXMgbG9uZyBhcyBQdWxzZSdzIG93bg",
  });
  lists.set(pageSize, list);
  return list;
}
