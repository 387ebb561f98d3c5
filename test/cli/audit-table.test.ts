import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { AuditAction, AuditEntrySchema } from "../../gen/pulse/v1/audit_service_pb.js";
import { auditLines, auditTable } from "../../src/cli/audit-table.js";

const entry = (change: MessageInitShape<typeof AuditEntrySchema>) =>
  create(AuditEntrySchema, {
    time: timestampFromMs(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
    action: AuditAction.RE_REGISTERED,
    tokenName: "service",
    address: "192.0.2.1",
    subject: "service",
    subjectId: "id-1",
    subjectName: "haul",
    detail: "nothing new",
    count: 1,
    ...change,
  });
const HEAD = /^TIME +ACTION +TOKEN +ADDRESS +SUBJECT +COUNT +DETAIL$/;

it("says who did what, a line each", () => {
  const [head, first, second] = auditTable([
    entry({}),
    entry({
      action: AuditAction.REFUSED,
      tokenName: "",
      subject: "",
      subjectId: "",
      subjectName: "",
      count: 12,
    }),
  ]).split("\n");
  expect(head).toMatch(HEAD);
  expect(first).toMatch(
    /^2026-01-02T03:04:05Z +re-registered +service +192.0.2.1 +haul +1 +nothing new$/,
  );
  expect(second).toMatch(/^\S+ +refused +- +192.0.2.1 +- +12 +nothing new$/);
});

it("shows no control character, and none that turns the reading direction", () => {
  const hostile = "a\u001b]0;title\u0007\n\u202eb";
  const text = auditTable([
    entry({ tokenName: hostile, subjectName: hostile, detail: hostile, address: hostile }),
  ]);
  expect(text.split("\n")).toHaveLength(2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
});

it("a line that comes later is in line with the table", () => {
  const shown = [entry({ tokenName: "a long name of a token" })];
  const line = auditLines(shown)(entry({ subjectName: "other" }));
  const [head = ""] = auditTable(shown).split("\n");
  expect(line.indexOf("192.0.2.1")).toBe(head.indexOf("ADDRESS"));
});

it("says that there is nothing", () => {
  expect(auditTable([])).toBe("No entries.");
});
