import type { Catalog } from "./catalog.js";
import type {
  Change,
  ChangeReason,
  OperatorReason,
  OperatorVerb,
  UnstampedCommit,
} from "./change.js";
import type { ServiceRecord, ServiceSpec } from "./service.js";

// The audit log says who did what. It holds no secret: of what was changed it has names,
// and of fields that may hold a secret that they were changed, never what they hold.

/** What somebody did. */
export const AUDIT_ACTIONS = [
  "registered",
  "re-registered",
  "joined",
  "deregistered",
  "approved",
  "entry created",
  "entry edited",
  "entry deleted",
  "entry restored",
  "entry tested",
  "credentials read",
  "token created",
  "token revoked",
  "secrets rotated",
  "refused",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** Who makes a call, as the audit log remembers it. */
export interface Actor {
  /** Empty if there is no valid token. */
  readonly tokenId: string;
  readonly tokenName: string;
  /** IP address; empty if it is not known. */
  readonly address: string;
}

/** What an action was done to. */
export type AuditSubject = Change["subject"] | "secrets" | "";

/** One thing that somebody did. */
export interface AuditEntry extends Actor {
  /** Wall-clock ms. */
  readonly at: number;
  readonly action: AuditAction;
  readonly subject: AuditSubject;
  readonly subjectId: string;
  readonly subjectName: string;
  /** For people. */
  readonly detail: string;
  /** How often, at least 1. */
  readonly count: number;
}

/** An entry as it is stored. */
export interface StoredAuditEntry extends AuditEntry {
  /** Grows from entry to entry, in the order in which they were committed. */
  readonly id: bigint;
}

type ReasonKind = Exclude<ChangeReason, OperatorReason> | OperatorVerb;

/** What a change is to the audit log; undefined: nobody did it by a call of his own. */
export const ACTION_OF_REASON: Readonly<Record<ReasonKind, AuditAction | undefined>> = {
  registered: "registered",
  "re-registered": "re-registered",
  superseded: "re-registered",
  deregistered: "deregistered",
  "token created": "token created",
  "token revoked": "token revoked",
  created: "entry created",
  edited: "entry edited",
  deleted: "entry deleted",
  restored: "entry restored",
  tested: "entry tested",
  approved: "approved",
  // Instances that come and go are in the change log.
  forgotten: undefined,
  goodbye: undefined,
  disconnected: undefined,
  expired: undefined,
  returned: undefined,
  "status reported": undefined,
};

/**
 * What a commit is to the audit log.
 * @param before the catalog without the commit
 */
export function auditOf(commit: UnstampedCommit, actor: Actor, before: Catalog): AuditEntry[] {
  const kind = kindOf(commit.reason);
  const action = ACTION_OF_REASON[kind];
  const [change] = commit.changes; // the first is what was called for, others follow from it
  if (!action || !change) return [];
  const { subject, subjectId } = change;
  const { at } = commit;
  const subjectName = nameOf(change, commit, before);
  const done = { ...actor, at, subject, subjectId, subjectName, count: 1 };
  return [
    { ...done, action, detail: detailOf(kind, change, commit, before) },
    ...joinsOf(commit).map((detail) => ({ ...done, action: "joined" as const, detail })),
  ];
}

function kindOf(reason: ChangeReason): ReasonKind {
  return (/^(\S+) by /.exec(reason)?.[1] ?? reason) as ReasonKind;
}

function nameOf({ subject, subjectId }: Change, commit: UnstampedCommit, before: Catalog): string {
  const is = ({ id }: { readonly id: string }) => id === subjectId;
  switch (subject) {
    case "service":
      return (commit.services.find(is) ?? before.service(subjectId))?.spec.name ?? "";
    case "download-client":
      return (commit.entries.find(is) ?? before.entry(subjectId))?.name ?? "";
    case "token":
      return (commit.tokens.find(is) ?? before.token(subjectId))?.name ?? "";
  }
}

function detailOf(
  kind: ReasonKind,
  { subjectId, detail }: Change,
  { services, tokens }: UnstampedCommit,
  before: Catalog,
): string {
  switch (kind) {
    case "edited":
    case "tested":
      return detail;
    case "registered":
      return services[0] ? kindText(services[0].spec) : "";
    case "re-registered":
      return changesText(before.service(subjectId), services[0]);
    case "superseded":
      return `took the place of a process that is connected; ${changesText(before.service(subjectId), services[0])}`;
    case "token created":
      return tokens[0] ? `scopes ${tokens[0].scopes.join(", ")}` : "";
    default:
      return "";
  }
}

/** Instances that got a token of their own in this commit. */
function joinsOf({ tokens }: UnstampedCommit): string[] {
  return tokens
    .filter(({ joinedWith, revokedAt }) => joinedWith !== "" && revokedAt === undefined)
    .map(({ id, joinedWith }) => `got token ${id} for join token ${joinedWith}`);
}

function kindText({ type, kind }: ServiceSpec): string {
  return kind === "" ? type : `${type}, ${kind}`;
}

const SPEC_FIELDS: Readonly<Record<keyof ServiceSpec, string | undefined>> = {
  name: "name",
  type: "type",
  kind: "kind",
  apiUrl: "api_url",
  endpoint: undefined, // says what api_url does
  healthUrl: "health_url",
  version: "version",
  capabilities: "capabilities",
  metadata: "metadata",
  protocol: "protocol",
  downloadDirectory: "download_directory",
  pathMappings: "path_mappings",
};

/** Which of its fields a service has changed, not to what. */
function changesText(was: ServiceRecord | undefined, is: ServiceRecord | undefined): string {
  if (!was || !is) return "";
  const changed = (Object.entries(SPEC_FIELDS) as [keyof ServiceSpec, string | undefined][])
    .filter(([key, path]) => path !== undefined && differ(was.spec[key], is.spec[key]))
    .map(([, path]) => path);
  if (was.username !== is.username) changed.push("service_username");
  if (was.apiKey !== is.apiKey) changed.push("service_api_key");
  return changed.length === 0 ? "nothing new" : `changed ${changed.join(", ")}`;
}

function differ(a: unknown, b: unknown): boolean {
  if (a === b) return false;
  return typeof a !== "object" || JSON.stringify(a) !== JSON.stringify(b);
}
