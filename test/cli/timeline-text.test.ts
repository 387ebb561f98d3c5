import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  ExplainServiceResponseSchema,
  TimelineSubject,
} from "../../gen/pulse/v1/registry_service_pb.js";
import { ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { ChangeType } from "../../gen/pulse/v1/watch_pb.js";
import { timelineText } from "../../src/cli/timeline-text.js";

const timeline = [
  {
    revision: 3n,
    time: timestampFromMs(0),
    reason: "registered",
    detail: "online",
    subject: TimelineSubject.SERVICE,
  },
  {
    revision: 4n,
    time: timestampFromMs(61_000),
    reason: "edited by admin",
    detail: "priority",
    subject: TimelineSubject.DOWNLOAD_CLIENT,
  },
];

test("the oldest change comes first, and how it stands now last", () => {
  const service = {
    spec: { name: "nas" },
    status: ServiceStatus.OFFLINE,
    statusReason: "goodbye",
    lastSeenTime: timestampFromMs(60_000),
  };
  const response = create(ExplainServiceResponseSchema, { service, timeline });
  const [head, first, second, blank, now, ...rest] = timelineText(response).split("\n");
  expect(head).toMatch(/^TIME +REVISION +WHAT +TO +DETAIL$/);
  expect(first).toMatch(/^1970-01-01T00:00:00Z +3 +registered +service +online$/);
  expect(second).toMatch(/^1970-01-01T00:01:01Z +4 +edited by admin +download client +priority$/);
  expect(blank).toBe("");
  expect(now).toBe("nas is offline now (goodbye), last seen 1970-01-01T00:01:00Z.");
  expect(rest).toEqual([]);
});

test("one that is gone, and a history that is cut off, are said", () => {
  const response = create(ExplainServiceResponseSchema, { timeline, truncated: true });
  expect(timelineText(response).split("\n").slice(-2)).toEqual([
    "It is not registered now.",
    "Earlier changes are no longer kept.",
  ]);
  expect(timelineText(create(ExplainServiceResponseSchema))).toMatch(/^No changes are kept\./);
});

test("a removal is told from a change", () => {
  const removed = [
    { reason: "deregistered", detail: "offline", type: ChangeType.DELETE },
    { reason: "deleted by admin", detail: "", type: ChangeType.DELETE },
    { reason: "edited by admin", detail: "priority", type: ChangeType.PUT },
  ];
  const response = create(ExplainServiceResponseSchema, { timeline: removed });
  const [, ...lines] = timelineText(response).split("\n");
  expect(lines[0]).toMatch(/deregistered +service +gone \(offline\)$/);
  expect(lines[1]).toMatch(/deleted by admin +service +gone$/);
  expect(lines[2]).toMatch(/edited by admin +service +priority$/);
});
