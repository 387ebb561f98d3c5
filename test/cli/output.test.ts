import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  Availability,
  CredentialState,
  DownloadClientSchema,
} from "../../gen/pulse/v1/download_client_pb.js";
import { ListDownloadClientsResponseSchema } from "../../gen/pulse/v1/download_client_service_pb.js";
import { Protocol } from "../../gen/pulse/v1/protocol_pb.js";
import { ServiceSchema, ServiceStatus } from "../../gen/pulse/v1/service_pb.js";
import { downloadClientsTable, hideCredentials, servicesTable } from "../../src/cli/lists.js";
import { cell, renderTable } from "../../src/cli/output.js";
import { usageSentence } from "../../src/cli/program.js";

const entry = create(DownloadClientSchema, {
  name: "haul",
  kind: "qbittorrent",
  protocol: Protocol.TORRENT,
  host: "::1",
  port: 8080,
  useSsl: true,
  urlBase: "/qbt",
  username: "me",
  password: "hunter2",
  enabled: true,
  availability: Availability.ONLINE,
  credentialState: CredentialState.VERIFIED,
});

describe("the table of download clients", () => {
  test("says that there are credentials, not what they are", () => {
    const table = downloadClientsTable([entry], false);
    expect(table).toMatch(/haul +qbittorrent +torrent +https:\/\/\[::1\]:8080\/qbt +online/);
    expect(table).toContain("hidden, verified");
    expect(table).not.toContain("hunter2");
  });

  test("shows them when asked", () => {
    expect(downloadClientsTable([entry], true)).toMatch(/me +hunter2/);
  });

  test("an empty one is a sentence", () => {
    expect(downloadClientsTable([], false)).toBe("No download clients.");
  });
});

test("a list without credentials has neither user names nor passwords", () => {
  const list = create(ListDownloadClientsResponseSchema, { downloadClients: [{ ...entry }] });
  hideCredentials(list);
  expect(list.downloadClients[0]).toMatchObject({ name: "haul", username: "", password: "" });
});

test("the table of services shows why one is not online", () => {
  const service = create(ServiceSchema, {
    spec: { name: "haul", type: "download-client" },
    status: ServiceStatus.OFFLINE,
    statusReason: "goodbye",
  });
  expect(servicesTable([service], true)).toMatch(/haul +download-client +- +offline +goodbye/);
});

test("columns line up and lines have no blanks at their end", () => {
  expect(
    renderTable(
      ["A", "B"],
      [
        ["1", ""],
        ["long", "2"],
      ],
      "",
    ).split("\n"),
  ).toEqual(["A      B", "1", "long   2"]);
});

test("text from elsewhere cannot move the cursor, break the line or turn the reading direction", () => {
  expect(cell("a\u001b[2Jb\nc\u202ed\u0000")).toBe("a\ufffd[2Jb\ufffdc\ufffdd\ufffd");
});

describe("a usage error", () => {
  test("is one sentence", () => {
    expect(usageSentence("error: unknown option '--tokn'\n(Did you mean --token?)\n")).toBe(
      "unknown option '--tokn' (Did you mean --token?)",
    );
  });

  test("repeats no secret that was typed where none belongs", () => {
    expect(usageSentence("error: unknown option '--token=abc'\n")).toBe("unknown option '--token'");
    expect(usageSentence("error: option '--url <url>' argument 'http://me:pw@h' is invalid.")).toBe(
      "option '--url <url>' argument 'http://[hidden]@h' is invalid",
    );
  });
});
