import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ExplainServiceResponseSchema,
  type TimelineEntry,
  TimelineEntrySchema,
  TimelineSubject,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import type { Catalog } from "../core/catalog.js";
import { invalidField, notFound } from "../core/errors.js";
import type { ServiceRecord } from "../core/service.js";
import { serviceOf, timestampOf } from "./convert.js";
import type { History, PastChange } from "./history.js";
import type { Leases } from "./leases.js";

const MAX_TIMELINE = 1_000;
/** Ids that an error lists. */
const MAX_NAMED = 10;

/**
 * What happened to a service and its entry, as far back as history is kept.
 * @param id of the service, of its instance, or a name that only one service has
 * @throws DomainError: no id, one of which nothing is known, or a name of several
 */
export function explain(
  id: string,
  {
    catalog,
    history,
    leases,
  }: { readonly catalog: Catalog; readonly history: History; readonly leases: Leases },
): MessageInitShape<typeof ExplainServiceResponseSchema> {
  if (id === "")
    throw invalidField("id", "is required: the id of a service or of its instance, or its name");
  const service = catalog.service(id) ?? catalog.serviceByInstance(id) ?? named(id, catalog);
  const entryId = catalog.entryOf(service.id)?.id;
  const past = [...history.of(entryId === undefined ? [service.id] : [service.id, entryId])];
  const timeline = past.slice(-MAX_TIMELINE).map(timelineEntryOf);
  const isFromBeginning =
    past[0]?.commit.reason === "registered" && past[0].commit.at === service.createdAt;
  return {
    ...(service.removed ? {} : { service: serviceOf(service, leases.lastSeenAt(service)) }),
    timeline,
    truncated: past.length > MAX_TIMELINE || !isFromBeginning,
  };
}

function named(name: string, catalog: Catalog): ServiceRecord {
  const [service, ...others] = catalog.servicesNamed(name);
  if (!service) throw notFound("service", name, "id or name");
  if (others.length > 0) {
    const ids = [service, ...others].slice(0, MAX_NAMED).map(({ id }) => id);
    throw invalidField("id", `is the name of several services: give one of ${ids.join(", ")}`);
  }
  return service;
}

function timelineEntryOf({ commit, change }: PastChange): TimelineEntry {
  return create(TimelineEntrySchema, {
    revision: commit.revision,
    time: timestampOf(commit.at),
    reason: commit.reason,
    detail: change.detail,
    subject:
      change.subject === "service" ? TimelineSubject.SERVICE : TimelineSubject.DOWNLOAD_CLIENT,
    type: change.type === "put" ? ChangeType.PUT : ChangeType.DELETE,
  });
}
