import { beforeEach, describe, expect, it } from "vitest";
import { FRONTABLE_KINDS } from "../../../src/haul/fronted-client.js";
import { type ConfigDirectory, clientWith, configDirectory } from "./config-directory.js";

// What is said of each mistake that an operator may make, to the letter.

let directory: ConfigDirectory;
beforeEach(async () => {
  directory = await configDirectory();
});

const problems = (yaml: string) => directory.problems(yaml);

describe("the file as a whole", () => {
  it.each([
    ["", "haul.yaml:1:1: has no value: give keys with their values, clients among them"],
    ["# nothing\n", "haul.yaml:1:1: has no value: give keys with their values, clients among them"],
    ["- a\n", "haul.yaml:1:1: must be keys with their values, clients among them"],
    [
      "pulse: pulse\n",
      "haul.yaml:1:1: clients: is missing: give a list of 1 to 64 download clients",
    ],
    ["clients:\n", "haul.yaml:1:9: clients: has no value: give a list of 1 to 64 download clients"],
    ["clients: qb\n", "haul.yaml:1:10: clients: must be a list of 1 to 64 download clients"],
    ["clients: []\n", "haul.yaml:1:10: clients: must have 1 to 64 download clients"],
    [
      "clients:\n  qb: { kind: aria2 }\n",
      "haul.yaml:2:3: clients: must be a list of 1 to 64 download clients",
    ],
    [
      `clients:\n${Array.from({ length: 65 }, (_, i) => `  - { name: c${i}, kind: aria2, url: "http://c" }\n`).join("")}`,
      "haul.yaml:2:3: clients: must have 1 to 64 download clients",
    ],
    [
      `pulse: http://me:hunter2@pulse\n${clientWith()}`,
      "haul.yaml:1:8: pulse: must be Pulse's address without a path or user name, such as https://pulse:9696, or those of several nodes with commas between",
    ],
    [
      `listen: 9797\n${clientWith()}`,
      "haul.yaml:1:9: listen: must be a text: put quotes around it",
    ],
    [
      `listen: localhost\n${clientWith()}`,
      "haul.yaml:1:9: listen: must be HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:9797 or [::1]:9797",
    ],
    [
      `token_file:\n${clientWith()}`,
      "haul.yaml:1:12: token_file: has no value: give the path of a file",
    ],
  ])("%j", async (yaml, problem) => {
    expect(await problems(yaml)).toEqual([problem]);
  });
});

describe("what is no YAML", () => {
  it.each([
    ["clients:\n\t- name: hunter2\n", "haul.yaml:2:1: is indented with a tab: use spaces"],
    [
      "pulse: a\npulse: hunter2\n",
      "haul.yaml:2:1: is a key that is there already: keep one of the two",
    ],
    [
      clientWith('password_file: "C:\\hunter2"'),
      "haul.yaml:5:23: has a backslash in double quotes that means nothing: use single quotes, or \\\\ for each backslash",
    ],
    [
      clientWith("password: !secret hunter2"),
      "haul.yaml:5:15: has a tag, and none is understood: leave it out",
    ],
    [
      clientWith("password_env: a: hunter2"),
      "haul.yaml:5:19: is no key with a value: check the indentation, and put quotes around a value with a colon in it",
    ],
    [
      clientWith("password_env: @hunter2"),
      "haul.yaml:5:19: begins with a character that needs quotes around the whole value",
    ],
    [clientWith("username: 'hunter2"), "haul.yaml:6:1: lacks a quote, bracket, comma or space"],
    [
      clientWith("vpn: { container: hunter2"),
      "haul.yaml:6:1: is not indented as what it belongs to, or a bracket before it is not closed",
    ],
    ["a: 1\n---\nhunter2: 2\n", "haul.yaml:2:1: begins a second document: keep one"],
    ["[a, b]: hunter2\n", "haul.yaml:1:1: is a key that is no text: check the brackets"],
    ["clients: *hunter2\n", "haul.yaml:1:10: no anchor of this alias comes before it"],
    [
      "clients: ] hunter2\n",
      "haul.yaml:1:10: is no YAML from here on: check quotes, brackets and indentation",
    ],
  ])("%j", async (yaml, problem) => {
    const lines = await problems(yaml);
    expect(lines[0]).toBe(problem);
    expect(lines.join()).not.toContain("hunter2");
  });

  it("is told of each line once, and of all lines", async () => {
    const lines = await problems("a: &x !y @z: b: c\nb: d: e\n");
    expect(lines.map((line) => line.split(":")[1])).toEqual(["1", "2"]);
  });
});

describe("a file that would make the parser work without end", () => {
  const LARGE =
    "haul.yaml: is too large or too deep for a configuration: leave out what is none of it";

  it.each([
    ["brackets in brackets", "[".repeat(1_000_000)],
    ["lists in lists", "- ".repeat(500_000)],
    ["keys below keys", Array.from({ length: 1_000 }, (_, i) => `${" ".repeat(i)}a:\n`).join("")],
    ["a hundred thousand keys", Array.from({ length: 100_000 }, (_, i) => `k${i}: 1\n`).join("")],
    ["a million lines", "\n".repeat(1_000_000)],
  ])("by %s is refused", async (_, yaml) => {
    expect(await problems(yaml)).toEqual([LARGE]);
  });

  it("by aliases of aliases is refused", async () => {
    const level = (i: number) => `k${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]\n`;
    const bomb = (levels: number) =>
      `k0: &a0 [x]\n${Array.from({ length: levels }, (_, i) => level(i + 1)).join("")}`;
    expect(await problems(bomb(8))).toEqual([
      "haul.yaml: has aliases within aliases that make it too large: write it out",
    ]);
    expect(await problems(bomb(20))).toEqual([
      "haul.yaml:13:18: there are more than 100 aliases: write it out",
    ]);
  });

  it("with a list that holds itself is like any other bad one", async () => {
    expect(await problems("clients: &a [*a]\n")).toEqual([
      "haul.yaml:1:14: clients[0]: must be a download client with its keys, as in - name: qbittorrent",
    ]);
  });

  it("with thousands of mistakes is told the first fifty", async () => {
    const lines = await problems(Array.from({ length: 500 }, (_, i) => `k${i}: 1\n`).join(""));
    expect(lines).toHaveLength(51);
    expect(lines[50]).toBe("haul.yaml: and 451 more like these");
  });
});

describe("a client", () => {
  const KINDS = FRONTABLE_KINDS.join(", ");
  const CLIENT = "haul.yaml:2:5: clients[0]";

  it("needs name, kind and URL", async () => {
    expect(await problems("clients:\n  - username: me\n")).toEqual([
      `${CLIENT}.name: is missing: give a name for people, such as qbittorrent`,
      `${CLIENT}.kind: is missing: give one of ${KINDS}`,
      `${CLIENT}.url: is missing: give a URL such as http://127.0.0.1:8080`,
    ]);
  });

  it("is a map of keys", async () => {
    expect(await problems("clients:\n  - hunter2\n")).toEqual([
      `${CLIENT}: must be a download client with its keys, as in - name: qbittorrent`,
    ]);
  });

  it("has a URL of its own, however it is written, unless it is switched off", async () => {
    const at = (name: string, url: string, more = "") =>
      `  - { name: ${name}, kind: aria2, url: ${url}${more} }\n`;
    const same = at("b", "http://H:6800/") + at("c", "http://h:6800", ", enabled: false");
    expect(await problems(`clients:\n${at("a", "http://h:6800")}${same}`)).toEqual([
      "haul.yaml:3:34: clients[1].url: is that of clients[0], too: each needs another",
    ]);
  });

  it("has a name of its own, and capitals do not tell names apart", async () => {
    const other = "  - { name: QB, kind: aria2, url: http://b, enabled: 1 }\n";
    expect(await problems(clientWith() + other)).toEqual([
      "haul.yaml:5:13: clients[1].name: is that of clients[0], too: each needs another",
      "haul.yaml:5:54: clients[1].enabled: must be true or false",
    ]);
  });

  const NAME =
    "must be a name without a space at either end and without marks that turn the reading direction";
  const HOST =
    "must be a host's name or address, such as gluetun or 192.168.1.10, without scheme, port and path";
  const SIZE = "must be a size such as 5GiB or 500MB, or 0 for never";
  const DURATION = "must be a duration such as 30m, 12h or 90s, or 0 for never";
  const VARIABLE = "must be the name of an environment variable, such as QB_PASSWORD";

  it.each([
    ["name", '" qb"', NAME],
    ["name", '"a\\u202eb"', NAME],
    ["name", "12", "must be a text: put quotes around it"],
    ["name", '""', "has no value: give a name for people, such as qbittorrent"],
    ["name", "n".repeat(129), "must have at most 128 characters"],
    ["name", '"a\\u0007"', "must not contain control characters"],
    ["kind", "hunter2", `must be one of ${KINDS}`],
    ["kind", "[aria2]", `must be one of ${KINDS}`],
    ["url", "hunter2", "is not an http or https URL: give one such as http://192.168.1.10:8080"],
    ["url", "ftp://a", "is not an http or https URL: give one such as http://192.168.1.10:8080"],
    ["url", "http://me:hunter2@a", "holds a user name or password: give these by themselves"],
    ["url", "http://a/?key=hunter2", "has a query or fragment: leave it out"],
    [
      "url",
      "http://0.0.0.0:8080",
      "must name an address that others can reach, not the unspecified one: give the host's name or address",
    ],
    ["url", `http://${"a".repeat(2_048)}`, "must have at most 2048 characters"],
    ["username", "[hunter2]", "must be the user to log in as"],
    ["username", "0815", "must be a text: put quotes around it"],
    ["password_file", '""', "has no value: give the path of a file"],
    ["password_file", "12345", "must be a text: put quotes around it"],
    ["password_env", "hunter 2", VARIABLE],
    ["api_key_env", "9f8a", VARIABLE],
    ["enabled", "yes", "must be true or false"],
    ["enabled", "1", "must be true or false"],
    [
      "advertise_url",
      "seedbox",
      "is not an http or https URL: give one such as http://192.168.1.10:8080",
    ],
    ["advertise_host", "http://nas", HOST],
    ["advertise_host", "nas:8080", HOST],
    ["advertise_host", "nas/x", HOST],
    ["advertise_host", "me@nas", HOST],
    ["advertise_host", "'[::1]'", HOST],
    ["advertise_host", "'::'", "must be an address that others can reach"],
    ["vpn", "gluetun", "must be container, check or both, as in { container: gluetun }"],
    ["vpn", "{}", "must have container, check or both"],
    ["min_free", "5 gib", SIZE],
    ["min_free", "-1", SIZE],
    ["min_free", "1.5", SIZE],
    ["min_free", "lots", SIZE],
    ["min_free", "9000000TiB", SIZE],
    ["min_free", "'5'", SIZE],
    ["stalled_after", "30", DURATION],
    ["stalled_after", "1h30m", DURATION],
    ["stalled_after", "0s", DURATION],
    ["stalled_after", "never", DURATION],
    [
      "download_directory",
      "downloads",
      "must be an absolute path, such as /downloads or 'C:\\Downloads'",
    ],
    [
      "download_directory",
      "'\\\\nas'", // a host without a share
      "must be an absolute path, such as /downloads or 'C:\\Downloads'",
    ],
    ["path_mappings", "/downloads", "must be a list of path mappings"],
    [
      "path_mappings",
      `[${"{ client: /a, manager: /b }, ".repeat(33)}]`,
      "must have at most 32 items",
    ],
  ])("with %s: %s", async (key, value, problem) => {
    const lines = clientWith()
      .split("\n")
      .filter((line) => !line.includes(`${key}: `));
    const begin = key === "name" ? "  - " : "    ";
    lines.splice(key === "name" ? 1 : lines.length - 1, 0, `${begin}${key}: ${value}`);
    const [first = ""] = await problems(lines.join("\n"));
    expect(first.replace(/^haul.yaml:\d+:\d+: /, "")).toBe(`clients[0].${key}: ${problem}`);
    expect(first).not.toContain("hunter");
  });

  it("has one secret", async () => {
    const lines = ["api_key_env: A", "password_file: a", "password_env: B", "enabled: 1"];
    expect(await problems(clientWith(...lines))).toEqual([
      "haul.yaml:5:18: clients[0].api_key_env: the secret is given by password_file already: keep one of the two",
      "haul.yaml:7:19: clients[0].password_env: the secret is given by password_file already: keep one of the two",
      "haul.yaml:8:14: clients[0].enabled: must be true or false",
    ]);
  });

  it("has one address for managers", async () => {
    const lines = ["advertise_url: http://a", "advertise_host: b", "vpn: { container: c }", "x: 1"];
    expect(await problems(clientWith(...lines))).toEqual([
      "haul.yaml:6:21: clients[0].advertise_host: the address for managers is given by advertise_url already: keep one of the two",
      "haul.yaml:7:23: clients[0].vpn.container: the address for managers is given by advertise_url already: keep one of the two",
      expect.stringContaining("haul.yaml:8:5: clients[0].x: is not known"),
    ]);
  });

  it("has two paths in each mapping, absolute ones, and each of its own once", async () => {
    const mappings = [
      "{ client: /a }",
      "{ client: b, manager: /c }",
      "{ client: /a, manager: /d }",
      "x",
    ];
    const yaml = clientWith("path_mappings:", ...mappings.map((each) => `  - ${each}`));
    expect(await problems(yaml)).toEqual([
      "haul.yaml:6:9: clients[0].path_mappings[0].manager: is missing: give an absolute path such as /downloads",
      "haul.yaml:7:19: clients[0].path_mappings[1].client: must be an absolute path, such as /downloads or 'C:\\Downloads'",
      "haul.yaml:8:19: clients[0].path_mappings[2].client: is that of path_mappings[0], too: each needs another",
      "haul.yaml:9:9: clients[0].path_mappings[3]: must be two paths, as in { client: /downloads, manager: /data/downloads }",
    ]);
  });
});

describe("an unknown key", () => {
  const KEYS =
    "name, kind, url, username, password_file, password_env, api_key_file, api_key_env, enabled, advertise_url, advertise_host, vpn, min_free, stalled_after, download_directory, path_mappings";
  const secret = (key: string) =>
    `is a secret in the file itself: put it alone into a file and name that with ${key}_file, or name a variable with ${key}_env`;

  it.each([
    ["min_fre", "is not known: did you mean min_free?"],
    ["minFree", "is not known: did you mean min_free?"],
    ["password-file", "is not known: did you mean password_file?"],
    ["knid", "is not known: did you mean kind?"],
    ["paswsord_file", "is not known: did you mean password_file?"],
    ["stalled", `is not known: the keys here are ${KEYS}`],
    ["port", `is not known: the keys here are ${KEYS}`],
    ["<<", "is not understood here: write the keys out, or use an alias for a value"],
    ["password", secret("password")],
    ["Password", secret("password")],
    ["api_key", secret("api_key")],
    ["apiKey", secret("api_key")],
    ["token", secret("api_key")],
  ])("%s of a client", async (key, problem) => {
    const field = key === "<<" ? "(a key)" : key;
    expect(await problems(clientWith(`${key}: hunter2`))).toEqual([
      `haul.yaml:5:5: clients[0].${field}: ${problem}`,
    ]);
  });

  it("elsewhere is told with the keys that are known there", async () => {
    const yaml = `client: []\n${clientWith("vpn: { contaner: a, check: b }", "path_mappings:", "  - { client: /a, manager: /b, hots: c }")}`;
    expect(await problems(yaml)).toEqual([
      "haul.yaml:1:1: client: is not known: did you mean clients?",
      "haul.yaml:6:12: clients[0].vpn.contaner: is not known: did you mean container?",
      "haul.yaml:8:36: clients[0].path_mappings[0].hots: is not known: the keys here are client, manager",
    ]);
  });

  it("that is no word is not repeated: it may be anything", async () => {
    expect(await problems(clientWith("'hunter2 hunter2': x"))).toEqual([
      `haul.yaml:5:5: clients[0].(a key): is not known: the keys here are ${KEYS}`,
    ]);
  });
});
