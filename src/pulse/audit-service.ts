import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  AuditAction,
  type AuditEntry,
  AuditEntrySchema,
  type AuditService,
  type ListAuditEntriesRequest,
} from "../../gen/pulse/v1/audit_service_pb.js";
import type { AuditAction as Action, StoredAuditEntry } from "../core/audit.js";
import { invalidField } from "../core/errors.js";
import {
  type AuditPage,
  type AuditRequest,
  type Store,
  StoreUnavailableError,
} from "../store/store.js";
import { freshenFor } from "./caller-registry.js";
import type { ScopeTable } from "./guard.js";
import { sizeOf } from "./record-size.js";
import type { Registry } from "./registry.js";
import { storeUnavailable } from "./status.js";

const MAX_PAGE_SIZE = 1_000;
const MAX_ACTIONS = 64;
/** Characters of a page, of at most three bytes each: clients refuse messages over 4 MiB. */
const MAX_PAGE_TEXT = 1_024 * 1_024;
/** The largest id that a store can hold. */
const MAX_ID = 2n ** 63n - 1n;

export const AUDIT_SCOPES: ScopeTable<typeof AuditService> = { listAuditEntries: ["admin"] };

export function createAuditService(
  registry: Registry,
  store: Pick<Store, "readAudit">,
): ServiceImpl<typeof AuditService> {
  return {
    async listAuditEntries(request, context) {
      const asked = readRequest(request);
      await freshenFor(context, registry);
      const page = await store.readAudit(asked).catch((error: unknown) => {
        throw error instanceof StoreUnavailableError ? storeUnavailable(error) : error;
      });
      const { entries, lastId } = fitting(page, asked.newest ?? false);
      return { entries: entries.map(messageOf), lastId };
    },
  };
}

/** @throws DomainError that names the field. */
function readRequest({
  afterId,
  pageSize,
  newest,
  actions,
}: ListAuditEntriesRequest): AuditRequest {
  if (pageSize > MAX_PAGE_SIZE)
    throw invalidField("page_size", `must be at most ${MAX_PAGE_SIZE}; 0 means ${MAX_PAGE_SIZE}`);
  if (newest && afterId !== 0n)
    throw invalidField("after_id", "cannot be given together with newest");
  if (actions.length > MAX_ACTIONS) throw invalidField("actions", `must be at most ${MAX_ACTIONS}`);
  return {
    afterId: afterId > MAX_ID ? MAX_ID : afterId,
    limit: pageSize || MAX_PAGE_SIZE,
    newest,
    actions: actions.map((value, i) => readAction(value, `actions[${i}]`)),
  };
}

/** As many as a client can take, at least one: the oldest of them, or of the newest the newest. */
function fitting(page: AuditPage, newest: boolean): AuditPage {
  const { entries, lastId } = page;
  let text = 0;
  let count = 0;
  for (const entry of newest ? entries.toReversed() : entries) {
    text += sizeOf(entry);
    if (text > MAX_PAGE_TEXT && count > 0) break;
    count++;
  }
  if (count === entries.length) return page;
  if (newest) return { entries: entries.slice(-count), lastId };
  const fit = entries.slice(0, count);
  return { entries: fit, lastId: fit.at(-1)?.id ?? lastId };
}

const ACTIONS: Readonly<Record<Action, AuditAction>> = {
  registered: AuditAction.REGISTERED,
  "re-registered": AuditAction.RE_REGISTERED,
  joined: AuditAction.JOINED,
  deregistered: AuditAction.DEREGISTERED,
  approved: AuditAction.APPROVED,
  "entry created": AuditAction.ENTRY_CREATED,
  "entry edited": AuditAction.ENTRY_EDITED,
  "entry deleted": AuditAction.ENTRY_DELETED,
  "entry restored": AuditAction.ENTRY_RESTORED,
  "entry tested": AuditAction.ENTRY_TESTED,
  "credentials read": AuditAction.CREDENTIALS_READ,
  "token created": AuditAction.TOKEN_CREATED,
  "token revoked": AuditAction.TOKEN_REVOKED,
  "secrets rotated": AuditAction.SECRETS_ROTATED,
  refused: AuditAction.REFUSED,
};

const ACTION_OF_NUMBER = new Map(
  Object.entries(ACTIONS).map(([action, number]) => [number, action as Action]),
);

function readAction(value: AuditAction, field: string): Action {
  const action = ACTION_OF_NUMBER.get(value);
  if (action === undefined)
    throw invalidField(field, "must be one of the actions that Pulse knows");
  return action;
}

function messageOf(entry: StoredAuditEntry): AuditEntry {
  const { at, action, ...same } = entry;
  return create(AuditEntrySchema, {
    ...same,
    time: timestampFromMs(at),
    action: ACTIONS[action] ?? AuditAction.UNSPECIFIED, // a newer Pulse may have written it
  });
}
