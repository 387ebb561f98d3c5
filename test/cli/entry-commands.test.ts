import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Source } from "../../gen/pulse/v1/download_client_pb.js";
import {
  CreateDownloadClientResponseSchema,
  DeleteDownloadClientResponseSchema,
  ListDownloadClientsResponseSchema,
  RestoreDownloadClientResponseSchema,
  TestDownloadClientResponseSchema,
  TestOutcome,
  UpdateDownloadClientResponseSchema,
} from "../../gen/pulse/v1/download_client_service_pb.js";
import { addCommand } from "../../src/cli/add-command.js";
import { editCommand } from "../../src/cli/edit-command.js";
import { removeCommand } from "../../src/cli/entry-commands.js";
import { connectPulse, type PulseConnection } from "../../src/client/index.js";
import { FakeQBittorrent, serve } from "../adapters/fake-client.js";
import { createProgramGroup, type ProgramGroup } from "../support/processes.js";
import { HAUL, LONG_TTL } from "../support/pulse.js";

// The operator's commands, as processes against a running Pulse.

const SECRETS = ["plain-secret-1", "plain-secret-2", HAUL.serviceApiKey];

let group: ProgramGroup;
let env: Record<string, string>;
let secretFile: string;
let admin: PulseConnection;

beforeAll(async () => {
  group = await createProgramGroup();
  const PULSE_DATA = join(group.directory, "data");
  const server = group.start("pulse", ["serve", "--listen", "127.0.0.1:0"], { PULSE_DATA });
  const PULSE_URL = String((await server.line("pulse.listening")).url);
  env = { PULSE_DATA, PULSE_URL };
  secretFile = join(group.directory, "secret");
  await writeFile(secretFile, "plain-secret-1\n", { mode: 0o600 });
  const token = await readFile(join(PULSE_DATA, "tokens", "admin.token"), "utf8");
  admin = connectPulse({ pulse: PULSE_URL, token });
  await admin.registry.register({ ...HAUL, requestedTtl: LONG_TTL });
});

afterAll(() => {
  admin.close();
  return group.stop();
});

/** `pulse clients …`, which must show no secret unless it is told to. */
async function clients(args: readonly string[], variables: Record<string, string> = {}) {
  const result = await group.run("pulse", ["clients", ...args], { ...env, ...variables });
  if (!args.includes("--show-credentials"))
    for (const secret of SECRETS) expect(result.stdout + result.stderr).not.toContain(secret);
  return result;
}

async function entryNamed(name: string) {
  const { downloadClients } = await admin.downloadClients.listDownloadClients({
    showDeleted: true,
  });
  return downloadClients.find((entry) => entry.name === name);
}

const done = (stdout: string) => ({ code: 0, signal: null, stdout: `${stdout}\n`, stderr: "" });
const failed = (stderr: string | RegExp) => ({
  code: 1,
  signal: null,
  stdout: "",
  stderr: expect.stringMatching(stderr),
});

describe("add", () => {
  test("makes an entry with all that the options say", async () => {
    const args = ["--name", "nas", "--kind", "sabnzbd", "--url", "https://nas.local/sab/"];
    const more = ["--username", "me", "--api-key-file", secretFile, "--priority", "7"];
    const rest = [
      "--category",
      "tv",
      "--directory",
      "/tv",
      "--tag",
      "a",
      "--tag",
      "b",
      "--disabled",
    ];
    const files = ["--download-directory", "/downloads", "--path-mapping", "/downloads=/data"];
    files.push("--path-mapping", "/incomplete=/data/incomplete");
    expect(
      await clients(["add", ...args, ...more, ...rest, ...files, "--settings", '{"seedRatio": 2}']),
    ).toEqual(done("Added nas at https://nas.local:443/sab."));
    expect(await entryNamed("nas")).toMatchObject({
      kind: "sabnzbd",
      host: "nas.local",
      port: 443,
      useSsl: true,
      urlBase: "/sab",
      username: "me",
      password: "plain-secret-1",
      enabled: false,
      priority: 7,
      category: "tv",
      directory: "/tv",
      tags: ["a", "b"],
      settings: { seedRatio: 2 },
      downloadDirectory: "/downloads",
      pathMappings: [
        { clientPath: "/downloads", managerPath: "/data" },
        { clientPath: "/incomplete", managerPath: "/data/incomplete" },
      ],
      source: Source.MANUAL,
    });
    expect((await clients(["list"])).stdout).toMatch(/nas +sabnzbd .* manual +off +unverified/);
  });

  test("takes the secret from a variable, and shows it in JSON only when asked", async () => {
    const args = ["add", "--name", "own", "--kind", "my-own", "--protocol", "usenet", "--json"];
    const { stdout } = await clients([...args, "--url", "http://[::1]:1"], {
      PULSE_CLIENT_PASSWORD: "plain-secret-2",
    });
    const { downloadClient } = fromJsonString(CreateDownloadClientResponseSchema, stdout);
    expect(downloadClient).toMatchObject({ name: "own", host: "::1", password: "" });
    expect((await entryNamed("own"))?.password).toBe("plain-secret-2");
  });

  test("refuses a taken name, in one sentence, and 1", async () => {
    const args = ["add", "--name", "haul", "--kind", "sabnzbd", "--url", "http://x"];
    expect(await clients(args)).toEqual(failed(/^pulse: [^\n]*name: is the name of another/));
  });
});

describe("edit", () => {
  test("of a registered client overrides address and credentials until they are cleared", async () => {
    const given = ["--url", "http://10.0.0.1:99", "--password-file", secretFile];
    expect(await clients(["edit", "haul", ...given, "--new-name", "box"])).toEqual(
      done("Changed haul: url, password, name."),
    );
    const overridden = { host: "10.0.0.1", port: 99, password: "plain-secret-1" };
    expect(await entryNamed("box")).toMatchObject({ ...overridden, overrides: overridden });
    expect((await clients(["list", "--json"])).stdout).toContain('"password": ""');

    const cleared = ["edit", "box", "--clear", "url,password", "--json", "--new-name", "haul"];
    const { stdout } = await clients(cleared);
    const { downloadClient } = fromJsonString(UpdateDownloadClientResponseSchema, stdout);
    expect(downloadClient).toMatchObject({ name: "haul", host: "192.168.1.10", port: 8080 });
    expect(downloadClient?.overrides).toBeUndefined();
  });

  test("of one made by hand changes its own fields, and says if they are so already", async () => {
    const cleared = ["--clear", "tags", "--clear", "username"];
    const args = ["edit", "--enable", "--kind", "nzbget", ...cleared, "nas"];
    expect(await clients(args)).toEqual(done("Changed nas: kind, enabled, tags, username."));
    expect(await entryNamed("nas")).toMatchObject({
      enabled: true,
      kind: "nzbget",
      username: "",
      tags: [],
      password: "plain-secret-1",
    });
    expect(await clients(args)).toEqual(done("nas is so already."));
  });

  test("says where its files are, which --json shows, and forgets it", async () => {
    const args = ["edit", "nas", "--path-mapping", "/downloads=/data/dl"];
    expect(await clients(args)).toEqual(done("Changed nas: path-mappings."));
    expect(await clients(args)).toEqual(done("nas is so already."));
    const { stdout } = await clients(["list", "--json", "--kind", "nzbget"]);
    expect(fromJsonString(ListDownloadClientsResponseSchema, stdout).downloadClients).toMatchObject(
      [{ name: "nas", pathMappings: [{ clientPath: "/downloads", managerPath: "/data/dl" }] }],
    );
    const cleared = ["edit", "nas", "--clear", "path-mappings,download-directory"];
    expect(await clients(cleared)).toEqual(done("Changed nas: path-mappings, download-directory."));
    expect(await entryNamed("nas")).toMatchObject({ downloadDirectory: "", pathMappings: [] });
  });

  test("takes several tags before the name", async () => {
    const args = ["edit", "--tag", "tv", "--tag", "hd", "nas"];
    expect(await clients(args)).toEqual(done("Changed nas: tags."));
    expect((await entryNamed("nas"))?.tags).toEqual(["tv", "hd"]);
  });

  test.each([
    "PULSE_CLIENT_PASSWORD",
    "PULSE_CLIENT_API_KEY",
    "PULSE_CLIENT_PASSWORD_FILE",
    "PULSE_CLIENT_API_KEY_FILE",
  ])("leaves alone what %s holds, which was meant for another", async (variable) => {
    const value = variable.endsWith("_FILE") ? secretFile : "plain-secret-2";
    const before = await entryNamed("haul");
    expect(before?.password).toBe(HAUL.serviceApiKey);
    expect(await clients(["edit", "haul", "--priority", "50"], { [variable]: value })).toEqual(
      done("haul is so already."),
    );
    expect(await entryNamed("haul")).toEqual(before);
  });

  test("takes a secret from its own input", async () => {
    const args = "--import tsx src/cli/pulse.ts clients edit nas --password-file /dev/stdin";
    const { stdout, stderr } = spawnSync(
      "sh",
      ["-c", `printf '%s' plain-secret-2 | exec ${process.execPath} ${args}`],
      { encoding: "utf8", env: { PATH: process.env.PATH, HOME: group.directory, ...env } },
    );
    expect({ stdout, stderr }).toEqual({ stdout: "Changed nas: password.\n", stderr: "" });
    expect((await entryNamed("nas"))?.password).toBe("plain-secret-2");
  });

  test.each([
    { option: "--kind", value: "aria2" },
    { option: "--protocol", value: "usenet" },
    { option: "--path-mapping", value: "/a=/b" },
  ])("refuses $option of a registered one, in its own words, and 2", async ({ option, value }) => {
    const { code, stderr } = await clients(["edit", "haul", option, value]);
    expect(stderr).toBe(
      `pulse: haul is registered, and ${option} is its service's own to say: change it there\n`,
    );
    expect(code).toBe(2);
  });
});

describe("remove and restore", () => {
  test("a registered client is hidden, listed with --deleted, and comes back", async () => {
    expect(await clients(["remove", "haul"])).toEqual(
      done(
        'Removed haul: it stays hidden, whatever its service does, until "pulse clients restore" brings it back.',
      ),
    );
    expect((await clients(["list"])).stdout).not.toContain("haul");
    expect((await clients(["list", "--deleted"])).stdout).toMatch(/haul .* deleted +\d{4}-/);
    expect(await clients(["edit", "haul", "--disable"])).toEqual(failed(/is deleted: restore it/));
    const { stdout } = await clients(["restore", "haul", "--json"]);
    const { downloadClient } = fromJsonString(RestoreDownloadClientResponseSchema, stdout);
    expect(downloadClient).toMatchObject({ name: "haul", password: "" });
    expect(await clients(["restore", "haul"])).toEqual(done("haul was not removed."));
  });

  test("one made by hand is gone for good", async () => {
    expect(await clients(["remove", "nas"])).toEqual(done("Removed nas for good."));
    expect(await clients(["restore", "nas"])).toEqual(
      failed(/^pulse: there is no download client/),
    );
    const { id = "" } = (await entryNamed("own")) ?? {};
    const { stdout } = await clients(["remove", id, "--json"]);
    expect(fromJsonString(DeleteDownloadClientResponseSchema, stdout).revision).toBeGreaterThan(0n);
  });
});

describe("one whose service is away", () => {
  const identity = {
    instanceId: "3f0c9f5e-6f1a-4b52-9c4e-0d7a5b1f2c3d",
    instanceSecret: "a-secret-of-a-ghost-0123456789abcdef",
  };
  const box = { name: "ghost", type: "download-client", kind: "aria2", apiUrl: "http://ghost:1" };
  const appear = (type: string) =>
    admin.registry.register({
      ...identity,
      service: { ...box, type },
      requestedTtl: LONG_TTL,
    });

  test("is listed with --deleted, and why it is away", async () => {
    await appear("download-client");
    expect((await clients(["list", "--deleted"])).stdout).toMatch(/ghost .* online +registered/);
    await appear("example");
    expect((await clients(["list"])).stdout).not.toContain("ghost");
    expect((await clients(["list", "--deleted"])).stdout).toMatch(
      /ghost .* away +service of another type/,
    );
    await admin.registry.deregister(identity);
    const { stdout } = await clients(["list", "--deleted"]);
    expect(stdout).toMatch(/ghost .* away +deregistered/);
    expect(stdout).toMatch(/haul .* online +registered/);
  });

  test("is found by its name, which can so be freed, and by its id", async () => {
    const { id = "" } = (await entryNamed("ghost")) ?? {};
    expect(await clients(["edit", "ghost", "--new-name", "shade"])).toEqual(
      done("Changed ghost: name."),
    );
    const args = ["add", "--name", "ghost", "--kind", "aria2", "--url", "http://new:1"];
    expect(await clients(args)).toEqual(done("Added ghost at http://new:1."));
    expect((await clients(["test", id])).stdout).toMatch(/^outcome +unreachable\n/);
  });

  test("stays hidden when it is removed, until it is restored and its service is back", async () => {
    expect(await clients(["restore", "shade"])).toEqual(
      done("shade was not removed. Managers see it when its service is back."),
    );
    expect(await clients(["remove", "shade"])).toEqual(
      done(
        'Removed shade: it stays hidden, whatever its service does, until "pulse clients restore" brings it back.',
      ),
    );
    await appear("download-client");
    expect((await clients(["list"])).stdout).not.toContain("shade");
    await admin.registry.deregister(identity);
    expect(await clients(["restore", "shade"])).toEqual(
      done("Restored shade. Managers see it when its service is back."),
    );
    await appear("download-client");
    expect((await clients(["list"])).stdout).toMatch(/shade .* online +registered/);
  });
});

describe("test", () => {
  const add = (name: string, url: string) =>
    clients(["add", "--name", name, "--kind", "qbittorrent", "--username", "me", "--url", url], {
      PULSE_CLIENT_PASSWORD: "plain-secret-2",
    });

  test("ends with 0 if Pulse gets in, and with 1 and the reason if not", async () => {
    const fake = new FakeQBittorrent();
    fake.password = "plain-secret-2";
    await add("real", await serve(fake.listener));
    const well = await clients(["test", "real"]);
    expect(well).toMatchObject({ code: 0, stderr: "" });
    expect(well.stdout).toMatch(
      /^outcome +ok\nsays +\S.*\nversion +4\.5\.2\ncredentials +verified/,
    );

    fake.password = "another";
    fake.restart();
    const refused = await clients(["test", "real", "--json"]);
    expect(refused).toMatchObject({ code: 1, stderr: "" });
    expect(fromJsonString(TestDownloadClientResponseSchema, refused.stdout)).toMatchObject({
      outcome: TestOutcome.CREDENTIALS_REJECTED,
      message: expect.stringMatching(/\S/),
    });
  });

  test("says of one without credentials that it has none, whatever the client thinks of that", async () => {
    const url = await serve(new FakeQBittorrent().listener);
    await clients(["add", "--name", "bare", "--kind", "qbittorrent", "--url", url]);
    const { code, stdout } = await clients(["test", "bare"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^outcome +credentials-rejected\n(?:.*\n)*credentials +none\n/);
  });
});

describe("wrong usage says what to do, and asks nobody", () => {
  const box = ["--name", "n", "--kind", "aria2", "--url", "http://x"];

  test.each([
    { make: addCommand, args: box.slice(2), says: /required option '--name/ },
    { make: addCommand, args: box.slice(0, 4), says: /give --kind and --url/ },
    { make: addCommand, args: [...box, "--priority", "0"], says: /a whole number from 1 to 100/ },
    { make: addCommand, args: [...box, "--settings", "[1]"], says: /is not a JSON object/ },
    { make: editCommand, args: ["haul"], says: /nothing to change/ },
    { make: editCommand, args: ["haul", "--enable", "--disable"], says: /cannot be used with/ },
    { make: editCommand, args: ["haul", "--clear", "host"], says: /choices are url, username/ },
    { make: editCommand, args: ["haul", "--clear", "url,host"], says: /choices are url, username/ },
    { make: editCommand, args: ["a", "--clear", "tags", "--tag", "b"], says: /tags or clear it/ },
    { make: editCommand, args: ["--priority", "1"], says: /missing required argument 'client'/ },
    { make: removeCommand, args: [], says: /missing required argument 'client'/ },
  ])("$args", async ({ make, args, says }) => {
    const command = make()
      .exitOverride()
      .configureOutput({ writeErr() {} });
    await expect(command.parseAsync(args, { from: "user" })).rejects.toThrow(says);
  });

  test("it is 2, and a secret that is typed is not repeated", async () => {
    const { code, stdout, stderr } = await clients(["add", ...box, "--password=plain-secret-1"]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("unknown option '--password'");
    expect((await clients(["edit", "haul"])).code).toBe(2);
  });
});

test("an unknown client is one sentence and 1, with a name that is near", async () => {
  expect(await clients(["test", "hau"])).toEqual(
    failed(
      /^pulse: there is no download client with the name or id "hau"; did you mean "haul"\?\n$/,
    ),
  );
});

test("a service's token may not edit", async () => {
  const PULSE_TOKEN_FILE = join(env.PULSE_DATA ?? "", "tokens", "service.token");
  expect(await clients(["edit", "haul", "--priority", "1"], { PULSE_TOKEN_FILE })).toEqual(
    failed(/^pulse: [^\n]*does not allow this with the token from [^\n]+\n$/),
  );
});
