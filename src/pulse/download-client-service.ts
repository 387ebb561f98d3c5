import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import type {
  DownloadClientService,
  ListDownloadClientsRequest,
  ListDownloadClientsResponseSchema,
  TestDownloadClientResponseSchema,
  WatchDownloadClientsRequest,
  WatchDownloadClientsResponse,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import type { Command } from "../core/decision.js";
import type { ResolvedEntry } from "../core/entry.js";
import {
  createEntry,
  deleteEntry,
  type EntryOutcome,
  restoreEntry,
  updateEntry,
} from "../core/entry-command.js";
import { invalidField } from "../core/errors.js";
import {
  checkEntryFilter,
  type EntryFilter,
  type EntryTraits,
  matchesEntry,
  traitsOfEntry,
} from "../core/filter.js";
import { allows } from "../core/token.js";
import type { Clock } from "../lib/clock.js";
import type { AddressRule } from "../lib/probe-address.js";
import type { AuditRecorder } from "./audit-recorder.js";
import { actorOf, callerOf } from "./authenticate.js";
import { freshenFor, runFor } from "./caller-registry.js";
import {
  credentialStateOf,
  downloadClientOf,
  readAvailability,
  readCredentialState,
  readProtocol,
} from "./convert.js";
import { readNames, watchReads } from "./credential-reads.js";
import { deferResponses } from "./deferred-responses.js";
import { orderKeys, readEntryOrder } from "./entry-order.js";
import { readEntryUpdate, readNewEntry } from "./entry-requests.js";
import type { EntrySigns } from "./entry-signs.js";
import { createEntryTester, type EntryTester } from "./entry-test.js";
import type { ScopeTable } from "./guard.js";
import type { History } from "./history.js";
import type { Leases } from "./leases.js";
import { pageOf } from "./page.js";
import type { Registry } from "./registry.js";
import { writeResumeToken } from "./resume-token.js";
import { durationOf } from "./status.js";
import type { WatchHub } from "./watch-hub.js";

export const DOWNLOAD_CLIENT_SCOPES: ScopeTable<typeof DownloadClientService> = {
  listDownloadClients: ["observe", "discover"],
  watchDownloadClients: ["observe", "discover"],
  createDownloadClient: ["admin"],
  updateDownloadClient: ["admin"],
  deleteDownloadClient: ["admin"],
  restoreDownloadClient: ["admin"],
  testDownloadClient: ["admin"],
};

export interface DownloadClientServiceOptions {
  readonly registry: Registry;
  readonly leases: Leases;
  readonly signs: EntrySigns;
  readonly history: History;
  readonly hub: WatchHub<ResolvedEntry, EntryTraits, WatchDownloadClientsResponse>;
  readonly audit: AuditRecorder;
  readonly clock: Clock;
  /** Which addresses a test may call; left out, all but those that are never called. */
  readonly addressRule?: AddressRule;
}

export function createDownloadClientService(
  options: DownloadClientServiceOptions,
): ServiceImpl<typeof DownloadClientService> {
  const { registry, signs, audit, clock, addressRule } = options;
  const tester = createEntryTester({
    registry,
    signs,
    audit,
    clock,
    ...(addressRule && { addressRule }),
  });

  /** What an operator's command came to, credentials included: his scope is `admin`. */
  async function run(context: HandlerContext, command: Command<EntryOutcome>) {
    const { resolved, revision } = await runFor(context, registry, command);
    const downloadClient = downloadClientOf(resolved, signs.of(resolved), true);
    tellOfReads(audit, context, [downloadClient], downloadClient.id);
    return { downloadClient, revision };
  }

  return {
    listDownloadClients: (request, context) => handleList(request, context, options),
    watchDownloadClients: (request, context) => handleWatch(request, context, options),
    createDownloadClient: (request, context) =>
      run(context, createEntry(readNewEntry(request), operatorOf(context))),
    updateDownloadClient: (request, context) =>
      run(context, updateEntry(readEntryUpdate(request, operatorOf(context)))),
    async deleteDownloadClient({ id, etag }, context) {
      const command = deleteEntry(required(id), etag, operatorOf(context));
      return { revision: await runFor(context, registry, command) };
    },
    restoreDownloadClient: ({ id }, context) =>
      run(context, restoreEntry(required(id), operatorOf(context))),
    async testDownloadClient({ id }, context) {
      await freshenFor(context, registry);
      return handleTest(required(id), context, tester);
    },
  };
}

function required(id: string): string {
  if (id === "") throw invalidField("id", "is required");
  return id;
}

/** The name by which a change is remembered. */
function operatorOf(context: HandlerContext): string {
  return callerOf(context).tokenName;
}

async function handleList(
  request: ListDownloadClientsRequest,
  context: HandlerContext,
  { registry, signs, history, audit }: DownloadClientServiceOptions,
): Promise<MessageInitShape<typeof ListDownloadClientsResponseSchema>> {
  const filter = readFilter(request);
  const order = readEntryOrder(request.order, "order");
  const stale = await freshenFor(context, registry);
  const { catalog } = registry;
  const entries = [...catalog.entries(), ...(request.showDeleted ? catalog.hiddenEntries() : [])];
  const page = pageOf(
    entries.filter((resolved) => matchesEntry(filter, traitsOfEntry(resolved))),
    orderKeys(order, (resolved) => signs.of(resolved).load),
    ({ entry, service }) => (service ? [entry, service] : [entry]),
    request,
    order === "name" ? undefined : order,
  );
  const withCredentials = mayReadCredentials(context);
  const downloadClients = page.items.map((item) =>
    downloadClientOf(item, signs.of(item), withCredentials),
  );
  if (withCredentials) tellOfReads(audit, context, downloadClients);
  return {
    downloadClients,
    nextPageToken: page.nextPageToken,
    revision: catalog.revision,
    resumeToken: writeResumeToken(history.point),
    stale,
  };
}

function handleWatch(
  request: WatchDownloadClientsRequest,
  context: HandlerContext,
  { registry, hub, audit }: DownloadClientServiceOptions,
): AsyncIterable<WatchDownloadClientsResponse> {
  const filter = readFilter(request);
  return deferResponses(async () => {
    await freshenFor(context, registry);
    const withCredentials = mayReadCredentials(context);
    return hub.watch({
      matches: (traits) => matchesEntry(filter, traits),
      withCredentials,
      onSend: withCredentials ? watchReads(audit, actorOf(context)) : undefined,
      filterKey: JSON.stringify(filter),
      resumeToken: request.resumeToken,
      tokenId: callerOf(context).tokenId,
    });
  });
}

/** For the audit log. @param id of the entry, if the reply is about one alone */
function tellOfReads(
  audit: AuditRecorder,
  context: HandlerContext,
  entries: readonly DownloadClient[],
  id?: string,
): void {
  const names = readNames(entries);
  if (names.length > 0) audit.recordRead(actorOf(context), names, id);
}

function mayReadCredentials(context: HandlerContext): boolean {
  return allows(callerOf(context).scopes, ["discover"]);
}

/** What lists and watches of entries have in common. */
function readFilter(
  request: Pick<
    ListDownloadClientsRequest,
    "protocol" | "kinds" | "availabilities" | "credentialStates" | "enabled"
  >,
): EntryFilter {
  const { kinds, availabilities, credentialStates, enabled } = request;
  const filter = {
    protocol: readProtocol(request.protocol, "protocol"),
    kinds,
    availabilities: availabilities.flatMap(
      (value, i) => readAvailability(value, `availabilities[${i}]`) ?? [],
    ),
    credentialStates: credentialStates.flatMap(
      (value, i) => readCredentialState(value, `credential_states[${i}]`) ?? [],
    ),
    enabled,
  };
  checkEntryFilter(filter);
  return filter;
}

async function handleTest(
  id: string,
  context: HandlerContext,
  tester: EntryTester,
): Promise<MessageInitShape<typeof TestDownloadClientResponseSchema>> {
  const { latencyMs, credentialState, ...test } = await tester.test(
    id,
    actorOf(context),
    context.signal,
  );
  return {
    ...test,
    latency: durationOf(latencyMs),
    credentialState: credentialStateOf(credentialState),
  };
}
