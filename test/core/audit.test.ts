import { beforeEach, describe, expect, it } from "vitest";
import { approve } from "../../src/core/approval.js";
import { type Actor, AUDIT_ACTIONS, type AuditEntry, auditOf } from "../../src/core/audit.js";
import type { ChangeReason } from "../../src/core/change.js";
import { type Command, commitOf } from "../../src/core/decision.js";
import { newOperatorFields } from "../../src/core/entry.js";
import {
  createEntry,
  deleteEntry,
  noteTest,
  restoreEntry,
  updateEntry,
} from "../../src/core/entry-command.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { deregister, register } from "../../src/core/registration.js";
import { createToken, revokeToken } from "../../src/core/token-command.js";
import { serviceRecord, tokenRecord } from "../store/sample-records.js";
import { Decisions, hashOf, registerRequest } from "../support/decisions.js";

const ACTOR: Actor = { tokenId: "id of ops", tokenName: "ops", address: "192.0.2.7" };
const SECRETS = ["planted-key", "planted-user", "planted-password", "secret 1", "planted-meta"];

let decisions: Decisions;
beforeEach(() => {
  decisions = new Decisions();
});

/** What a command of the actor is to the audit log, in a line each. */
function told(command: Command<unknown>): string[] {
  let entries: readonly AuditEntry[] = [];
  decisions.run((context) => {
    const decision = command(context);
    if (decision.commit) entries = auditOf(decision.commit, ACTOR, context.catalog);
    return decision;
  });
  for (const entry of entries) {
    expect(entry).toMatchObject({ ...ACTOR, at: decisions.at, count: 1 });
    for (const secret of SECRETS) expect(JSON.stringify(entry)).not.toContain(secret);
  }
  return entries.map(
    ({ action, subject, subjectId, subjectName, detail }) =>
      `${action}: ${subject} ${subjectId} ${subjectName} (${detail})`,
  );
}

const haul = (change: Parameters<typeof registerRequest>[0] = {}) =>
  register(registerRequest(change), hashOf, { maxServices: 100 });
const target = {
  kind: "sabnzbd",
  protocol: "usenet" as const,
  host: "nas",
  port: 8080,
  useSsl: false,
  urlBase: "",
  username: "planted-user",
  password: "planted-password",
  ...NO_FILE_PLACES,
};

describe("what a commit is to the audit log", () => {
  it("of an instance, with what it changed and not to what", () => {
    expect(told(haul())).toEqual(["registered: service id-1 haul (download-client, qbittorrent)"]);
    expect(told(haul())).toEqual(["re-registered: service id-1 haul (nothing new)"]);
    const changed = haul({
      username: "planted-user",
      apiKey: "planted-key",
      raw: { apiUrl: "http://other:1", metadata: { key: "planted-meta" }, version: "5" },
    });
    expect(told(changed)).toEqual([
      "re-registered: service id-1 haul (changed api_url, version, metadata, service_username, service_api_key)",
    ]);
    expect(told(haul({ isAttached: () => true, username: "", apiKey: "" }))).toEqual([
      expect.stringMatching(
        /^re-registered: .*\(took the place of a process that is connected; changed/,
      ),
    ]);
    const removal = { instanceId: "instance-1", secretHash: "hash of secret 1", isAdmin: false };
    expect(told(deregister(removal))).toEqual(["deregistered: service id-1 haul ()"]);
    expect(told(deregister(removal))).toEqual([]);
    expect(told(haul())[0]).toMatch(/^registered: /);
  });

  it("of an entry, with the names of the fields that were edited", () => {
    const fields = newOperatorFields("nas");
    const [made] = told(createEntry({ fields, target }, "ops"));
    const id = decisions.entry("nas")?.entry.id ?? "";
    expect(made).toBe(`entry created: download-client ${id} nas ()`);
    const patch = {
      fields: { name: "new name", settings: { key: "planted-key" } },
      target: { password: "planted-password 2" },
      overrides: {},
    };
    const paths = ["name", "settings", "password", "priority"];
    const update = updateEntry({ id, etag: "", patch, paths, by: "by by ops" });
    expect(told(update)).toEqual([
      `entry edited: download-client ${id} new name (name, settings, password)`,
    ]);
    const tested = decisions.catalog.resolvedEntry(id);
    if (!tested) throw new Error("the entry is gone");
    expect(told(noteTest(tested, "verified", "ops"))).toEqual([
      `entry tested: download-client ${id} new name (verified)`,
    ]);
    expect(told(deleteEntry(id, "", "ops"))).toEqual([
      `entry deleted: download-client ${id} new name ()`,
    ]);
  });

  it("of an entry that is hidden and comes back", () => {
    told(haul());
    const id = decisions.entry("haul")?.entry.id ?? "";
    expect(told(deleteEntry(id, "", "ops"))).toEqual([
      `entry deleted: download-client ${id} haul ()`,
    ]);
    expect(told(restoreEntry(id, "ops"))).toEqual([
      `entry restored: download-client ${id} haul ()`,
    ]);
    expect(told(restoreEntry(id, "ops"))).toEqual([]);
  });

  it("of a token and of an approval", () => {
    const token = { id: "t1", name: "tv", scopes: ["observe", "admin"] as const, hash: "h" };
    expect(told(createToken(token))).toEqual([
      "token created: token t1 tv (scopes observe, admin)",
    ]);
    expect(told(revokeToken("t1", "another"))).toEqual(["token revoked: token t1 tv ()"]);
    told(haul());
    const service = [...decisions.catalog.services()][0] ?? serviceRecord();
    told((context) => ({
      commit: commitOf(context, "status reported", [], {
        services: [{ ...service, approved: false }],
      }),
      outcome: undefined,
    }));
    expect(told(approve(service.id, "ops"))).toEqual([`approved: service ${service.id} haul ()`]);
  });

  it("of an instance that gets a token for a join token is that it joined, too", () => {
    const service = serviceRecord();
    const join: Command<void> = (context) => ({
      commit: commitOf(
        context,
        "registered",
        [{ subject: "service", subjectId: service.id, type: "put", detail: "" }],
        {
          services: [service],
          tokens: [
            tokenRecord({ id: "own", joinedWith: "join-id", instanceId: "instance-1" }),
            tokenRecord({ id: "join-id", uses: 1 }),
          ],
        },
      ),
      outcome: undefined,
    });
    expect(told(join)).toEqual([
      "registered: service service-1 haul (download-client, qbittorrent)",
      "joined: service service-1 haul (got token own for join token join-id)",
    ]);
  });

  it.each<ChangeReason>([
    "forgotten",
    "goodbye",
    "disconnected",
    "expired",
    "returned",
    "status reported",
  ])("that nobody called for is nothing: %s", (reason) => {
    const service = serviceRecord();
    const change = { subject: "service", subjectId: service.id, type: "put", detail: "" } as const;
    expect(
      told((context) => ({
        commit: commitOf(context, reason, [change], { services: [service] }),
        outcome: undefined,
      })),
    ).toEqual([]);
  });
});

it("no two actions have one name", () => {
  expect(new Set(AUDIT_ACTIONS).size).toBe(AUDIT_ACTIONS.length);
});
