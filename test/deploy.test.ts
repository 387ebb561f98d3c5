import { execFile } from "node:child_process";
import { access, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import { readConfig } from "../src/haul/config/index.js";
import { isMissing } from "./support/missing.js";

// What deploy/ has for systemd and for Docker Compose, as far as it can be checked without either.

const ROOT = resolve(import.meta.dirname, "..");
const UNITS = join(ROOT, "deploy", "systemd");
const COMPOSE = join(ROOT, "deploy", "compose");
const run = promisify(execFile);

/** What a command says of its options. */
async function helpOf(program: string, command: string): Promise<string> {
  const file = join(ROOT, "dist", "src", "cli", `${program}.js`);
  return (await run(process.execPath, [file, command, "--help"])).stdout.replace(/\s+/g, " ");
}

/** The arguments that name options, checked against the command's help. */
async function expectOptions([program = "", command = "", ...args]: readonly string[]) {
  const help = await helpOf(program, command);
  for (const arg of args.filter((each) => each.startsWith("--")))
    expect([arg, help.includes(`${arg} `)]).toEqual([arg, true]);
}

const unitNames = async () =>
  (await readdir(UNITS)).filter((name) => name.endsWith(".service")).sort();

describe("the units for systemd", () => {
  it("are one for each program", async () => {
    expect(await unitNames()).toEqual(["haul.service", "pulse.service"]);
  });

  it.each(["pulse", "haul"])(
    "%s.service starts what there is, with variables that it knows",
    async (name) => {
      const unit = await readFile(join(UNITS, `${name}.service`), "utf8");
      const [, ...command] = /^ExecStart=\/usr\/local\/bin\/(.*)$/m.exec(unit) ?? [];
      const words = command[0]?.split(" ") ?? [];
      expect(words[0]).toBe(name);
      await expectOptions(words);
      const help = await helpOf(name, words[1] ?? "");
      const variables = unit.match(/\b(?:PULSE|HAUL)_[A-Z_]+/g) ?? [];
      expect(variables.length).toBeGreaterThan(2);
      for (const variable of variables) expect(help).toContain(variable);
      const users = await readFile(join(UNITS, "sysusers.conf"), "utf8");
      expect(users).toMatch(new RegExp(`^u ${name} - "\\w+" /var/lib/${name}$`, "m"));
      expect(unit).toContain(`\nUser=${name}\n`);
    },
  );

  it.skipIf(isMissing("systemd-analyze"))(
    "are good, and let the programs do little else",
    async () => {
      const directory = await mkdtemp(join(tmpdir(), "pulse-units-"));
      onTestFinished(() => rm(directory, { recursive: true, force: true }));
      const paths = [];
      for (const name of await unitNames()) {
        const unit = await readFile(join(UNITS, name), "utf8");
        const path = join(directory, name);
        // The programs are not installed where the units look for them.
        await writeFile(
          path,
          unit.replaceAll(/\/usr\/local\/bin\/(pulse|haul)/g, process.execPath),
        );
        paths.push(path);
      }
      expect(await run("systemd-analyze", ["verify", ...paths])).toEqual({
        stdout: "",
        stderr: "",
      });
      // From 0, shut off from everything, to 10; it fails past the threshold.
      const security = ["security", "--offline=yes", "--threshold=20", "--no-pager", ...paths];
      expect((await run("systemd-analyze", security)).stdout).toContain("exposure level");
    },
  );
});

interface ComposeFile {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image: string;
        readonly build?: { readonly context: string; readonly dockerfile: string };
        readonly command?: readonly string[];
        readonly ports?: readonly string[];
        readonly volumes?: readonly string[];
        readonly secrets?: readonly string[];
        readonly depends_on?: readonly string[];
      }
    >
  >;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

describe("the compose file", async () => {
  const text = await readFile(join(COMPOSE, "compose.yaml"), "utf8");
  const { services, volumes, secrets }: ComposeFile = parse(text, { strict: true });

  it("has Pulse, Haul and a qBittorrent", () => {
    expect(Object.keys(services)).toEqual(["pulse", "haul", "qbittorrent"]);
  });

  it.each(["pulse", "haul"])(
    "%s is built from what there is, and its command is known",
    async (name) => {
      const { image, build, command = [] } = services[name] ?? { image: "" };
      expect(image).toBe("pulse");
      await expectOptions(command);
      if (build) await access(join(COMPOSE, build.context, build.dockerfile));
    },
  );

  it("publishes nothing beyond this host", () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it("names no volume, secret or service that is not there", () => {
    const isNamed = (volume: string) => !/^[./]/.test(volume);
    for (const service of Object.values(services)) {
      const sources = (service.volumes ?? []).map((volume) => volume.split(":", 1)[0] ?? "");
      for (const source of sources.filter(isNamed)) expect(volumes).toHaveProperty([source]);
      for (const secret of service.secrets ?? []) expect(secrets).toHaveProperty([secret]);
      for (const other of service.depends_on ?? []) expect(services).toHaveProperty([other]);
    }
  });

  it("gives Haul a configuration that it reads, in which every service and secret is one of its own", async () => {
    const text = await readFile(join(COMPOSE, "haul", "haul.yaml"), "utf8");
    const directory = await mkdtemp(join(tmpdir(), "pulse-compose-"));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    const file = join(directory, "haul.yaml");
    await writeFile(file, text.replaceAll("/run/secrets/", `${directory}/`));
    for (const secret of Object.keys(secrets)) await writeFile(join(directory, secret), "a-secret");
    expect((await readConfig(file, {})).clients).toHaveLength(1);
    expect(services.haul?.volumes).toContain("./haul:/config:ro");
    expect(services.haul?.command).toContain("/config/haul.yaml");

    const config = parse(text);
    expect(Object.keys(services)).toContain(new URL(config.pulse).hostname);
    for (const client of config.clients) {
      expect(Object.keys(services)).toContain(new URL(client.url).hostname);
      const secret = /^\/run\/secrets\/(.+)$/.exec(client.password_file)?.[1] ?? "";
      expect(services.haul?.secrets).toContain(secret);
    }
    expect(services.haul?.secrets).toContain(/^\/run\/secrets\/(.+)$/.exec(config.token_file)?.[1]);
  });
});
