import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createIdentitySource, readOrCreateIdentity } from "../../src/client/identity.js";
import { systemRandom } from "../../src/lib/random.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "identity-"));
});
afterEach(() => rm(directory, { recursive: true }));

it("is made once, kept in a file of mode 0600, and the same ever after", async () => {
  const inner = join(directory, "not", "there", "yet");
  const first = await readOrCreateIdentity(inner);
  expect(first.instanceId).toMatch(/^[0-9a-f-]{36}$/);
  expect(Buffer.from(first.instanceSecret, "base64url")).toHaveLength(32);
  expect((await stat(join(inner, "instance.json"))).mode & 0o777).toBe(0o600);
  expect(await readOrCreateIdentity(inner)).toEqual(first);
});

it("is one for processes that start together", async () => {
  const starts = Array.from({ length: 20 }, () => readOrCreateIdentity(directory));
  const ids = (await Promise.all(starts)).map((identity) => JSON.stringify(identity));
  expect(new Set(ids).size).toBe(1);
});

it.each([
  ["no JSON", '{"instanceId": "a", "instanceSecret": "s3cret-s3cret-s3cret"'],
  ["half a file", ""],
  ["no secret", '{"instanceId":"a"}'],
  ["a short secret", '{"instanceId":"a","instanceSecret":"short"}'],
  ["an id that Pulse refuses", '{"instanceId":"a b","instanceSecret":"s3cret-s3cret-s3cret"}'],
  ["another type", '["s3cret-s3cret-s3cret"]'],
])("with %s in its file is an error that names the file, never a new identity", async (_, text) => {
  const path = join(directory, "instance.json");
  await writeFile(path, text, { mode: 0o600 });
  const error: Error = await readOrCreateIdentity(directory).then(
    () => expect.unreachable(),
    (reason) => reason,
  );
  expect(error.message).toContain(`${path} is damaged`);
  expect(`${error.stack}`).not.toContain("s3cret-s3cret");
  expect(await readFile(path, "utf8")).toBe(text);
});

it("can be given instead of a directory", async () => {
  const identity = { instanceId: "a", instanceSecret: "s3cret-s3cret-s3cret" };
  expect(await createIdentitySource(identity, systemRandom)()).toEqual(identity);
});

it("is read once for all attempts", async () => {
  const source = createIdentitySource({ directory }, systemRandom);
  const first = await source();
  await rm(join(directory, "instance.json"));
  expect(await source()).toBe(first);
});
