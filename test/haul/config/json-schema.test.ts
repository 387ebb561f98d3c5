import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../../src/haul/config/index.js";
import { configJsonSchema } from "../../../src/haul/config/json-schema.js";
import { readmeBlock } from "../../support/installed-package.js";
import { configDirectory } from "./config-directory.js";

const ROOT = resolve(import.meta.dirname, "../../..");
const read = (path: string) => readFile(resolve(ROOT, path), "utf8");

it("docs/haul.schema.json is current: if it is not, run `npm run generate`", async () => {
  expect(await read("docs/haul.schema.json")).toBe(configJsonSchema());
});

it("explains every key", () => {
  const undocumented: string[] = [];
  const look = (schema: object, path: string): void => {
    for (const [key, value] of Object.entries(schema)) {
      if (typeof value !== "object" || value === null) continue;
      if (key === "properties")
        for (const [name, property] of Object.entries<object>(value))
          if (!("description" in property)) undocumented.push(`${path}.${name}`);
      look(value, `${path}.${key}`);
    }
  };
  look(JSON.parse(configJsonSchema()), "");
  expect(undocumented).toEqual([]);
});

it("docs/haul.md explains every key", async () => {
  const page = await read("docs/haul.md");
  const { properties } = JSON.parse(configJsonSchema());
  const keys = [properties, properties.clients.items.properties].flatMap(Object.keys);
  expect(keys.filter((key) => key !== "$schema" && !page.includes(`\`${key}\``))).toEqual([]);
});

it("the README's configuration can be used", async () => {
  const directory = await configDirectory();
  const path = await directory.put("haul.yaml", await readmeBlock("config"));
  for (const name of ["qbittorrent", "sabnzbd"]) await directory.put(`secrets/${name}`, "one\n");
  const { clients, warnings } = await readConfig(path, {});
  expect(clients).toMatchObject([
    { kind: "qbittorrent", secret: "one", pathMappings: [{ managerPath: "/data/downloads" }] },
    { kind: "sabnzbd", secret: "one" },
  ]);
  expect(warnings).toEqual([]);
});

it("that of the compose file can be used, with secrets where Docker puts them", async () => {
  const directory = await configDirectory();
  const text = await read("deploy/compose/haul/haul.yaml");
  await directory.put("secrets/qbittorrent-password", "one\n");
  const here = text.replaceAll("/run/secrets/", "secrets/");
  const { clients, pulse, warnings } = await readConfig(await directory.put("haul.yaml", here), {});
  expect([pulse, clients.length, warnings]).toEqual(["http://pulse:9696", 1, []]);
});

describe("examples/haul.yaml", () => {
  it("can be used, once there are the secrets that it names", async () => {
    const directory = await configDirectory();
    const path = await directory.put("haul.yaml", await read("examples/haul.yaml"));
    await directory.put("qbittorrent-password", "one\n");
    const { clients, warnings } = await readConfig(path, { ARIA2_SECRET: "two" });
    expect(clients.map(({ kind, secret }) => [kind, secret])).toEqual([
      ["qbittorrent", "one"],
      ["aria2", "two"],
    ]);
    expect(warnings).toEqual([]);
  });

  it("tells editors where the schema is", async () => {
    const [, schema = ""] = /\$schema=(\S+)/.exec(await read("examples/haul.yaml")) ?? [];
    expect(resolve(ROOT, "examples", schema)).toBe(resolve(ROOT, "docs/haul.schema.json"));
  });
});
