import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CommandError } from "../../src/cli/failure.js";
import { findToken, NoTokenError, type TokenSearch } from "../../src/cli/token-lookup.js";

let directory: string;
let search: TokenSearch;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pulse-tokens-"));
  await mkdir(join(directory, "tokens"));
  await writeFile(join(directory, "tokens", "service.token"), "of-service\n", { mode: 0o600 });
  await writeFile(join(directory, "tokens", "admin.token"), "of-admin\n", { mode: 0o600 });
  await writeFile(join(directory, "given"), "of-file\n", { mode: 0o600 });
  search = {
    file: undefined,
    fileWasTyped: false,
    token: undefined,
    pulseUrl: "http://127.0.0.1:9696",
    dataDirectory: directory,
    accept: ["service", "admin"],
  };
});

afterEach(() => rm(directory, { recursive: true }));

const found = async (change: Partial<TokenSearch>) =>
  (await findToken({ ...search, ...change })).token;

test("a token of the data directory that everybody can read is not used, and what to do is said", async () => {
  const path = join(directory, "tokens", "service.token");
  await chmod(path, 0o644);
  const error = await found({}).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(CommandError);
  expect((error as Error).message).toContain(`"chmod o= ${path}"`);
});

test("a token file that was typed goes before PULSE_TOKEN, and that before PULSE_TOKEN_FILE", async () => {
  const file = join(directory, "given");
  expect(await found({ file, fileWasTyped: true, token: "of-variable" })).toBe("of-file");
  expect(await found({ file, token: "of-variable" })).toBe("of-variable");
  expect(await found({ file })).toBe("of-file");
});

test("with none given, the data directory has one, the best first", async () => {
  expect(await found({})).toBe("of-service");
  expect(await found({ accept: ["admin"] })).toBe("of-admin");
  await rm(join(directory, "tokens", "service.token"));
  expect(await found({})).toBe("of-admin");
});

test("a service token is not tried where an admin token is needed", async () => {
  await rm(join(directory, "tokens", "admin.token"));
  await expect(found({ accept: ["admin"] })).rejects.toThrow(
    /no token found in .*admin\.token: give one in PULSE_TOKEN or with --token-file/,
  );
  await expect(found({ accept: ["admin"] })).rejects.toBeInstanceOf(NoTokenError);
});

test.each([
  "http://[::1]:9696",
  "http://localhost:1",
  "http://127.0.0.53:1",
  "http://127.0.0.1:1,http://localhost:2",
])("%s is this host: a found token goes there", async (pulseUrl) => {
  expect(await found({ pulseUrl })).toBe("of-service");
});

test.each([
  "http://192.0.2.1:9696",
  "https://pulse.example",
  "http://127.evil.example",
  "http://127.0.0.1:9696,http://192.0.2.1:9696",
])("%s is another host: a found token never goes there, a given one does", async (pulseUrl) => {
  await expect(found({ pulseUrl })).rejects.toThrow("is on another host: give a token");
  expect(await found({ pulseUrl, token: "given" })).toBe("given");
});

test("what cannot be a token is refused without being repeated", async () => {
  await expect(found({ token: "two words" })).rejects.toThrow(
    /^PULSE_TOKEN does not hold a token: it must be one line without spaces$/,
  );
});
