import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createAdapter } from "../../src/adapters/probe.js";
import { createClientSecret } from "../../src/haul/client-secret.js";
import { systemClock } from "../../src/lib/clock.js";
import { systemRandom } from "../../src/lib/random.js";
import { FakeQBittorrent, reply, serve } from "../adapters/fake-client.js";
import { recordingLog } from "../support/recording-log.js";

const { signal } = new AbortController();
const OLD = "plain-old-secret";

let directory: string;
let file: string;
let client: FakeQBittorrent;
let url: string;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "client-secret-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, "secrets"));
  file = join(directory, "secrets", "password");
  await writeFile(file, `${OLD}\n`, { mode: 0o640 });
  client = new FakeQBittorrent();
  client.password = OLD;
  url = await serve(client.listener);
  log = recordingLog();
});

const pendingFile = () => join(directory, "client.secret.pending");
const pending = () => readFile(pendingFile(), "utf8").catch(() => undefined);
const given = async () => (await readFile(file, "utf8")).replace(/\n$/, "");

/** As Haul starts: the secret is what the operator's file says. */
async function start(change: { readonly secretFile?: string | undefined } = { secretFile: file }) {
  const { secretFile } = change;
  const target = { kind: "qbittorrent", url, username: "me", secret: await given() } as const;
  const fronted = { ...target, ...(secretFile !== undefined && { secretFile }) };
  const options = { stateDirectory: directory, clock: systemClock, random: systemRandom, log };
  const secret = await createClientSecret(fronted, options);
  const adapter = createAdapter(target, { clock: systemClock });
  const announced: unknown[] = [];
  const announce = () => void announced.push(secret.target.secret);
  return { secret, announced, change: () => secret.change(adapter, signal, announce) };
}

it("is what the operator's file says when it is made, though another was read before", async () => {
  await writeFile(file, "plain-newer-secret\n");
  const fronted = {
    kind: "qbittorrent",
    url,
    username: "me",
    secret: OLD,
    secretFile: file,
  } as const;
  const options = { stateDirectory: directory, clock: systemClock, random: systemRandom, log };
  expect((await createClientSecret(fronted, options)).target.secret).toBe("plain-newer-secret");
  await rm(file);
  expect((await createClientSecret(fronted, options)).target.secret).toBe(OLD);
});

const isUntouched = async () => {
  expect([client.password, client.passwords, await given(), await pending()]).toEqual([
    OLD,
    0,
    OLD,
    undefined,
  ]);
};

/** All that is kept agrees, and a login with it works. */
async function agrees(secret: Awaited<ReturnType<typeof start>>["secret"]) {
  expect([await given(), secret.target.secret]).toEqual([client.password, client.password]);
  expect(await pending()).toBeUndefined();
  const probe = await createAdapter(secret.target, { clock: systemClock }).probe(signal);
  expect(probe.outcome).toBe("ok");
}

describe("a new secret", () => {
  it("is at the client and in the operator's file, which is as it was else", async () => {
    const { secret, change } = await start();
    expect(await change()).toMatchObject({ outcome: "ok", credentials: "accepted" });
    expect(client.password).toMatch(/^[\w-]{43}$/);
    await agrees(secret);
    expect((await stat(file)).mode & 0o777).toBe(0o640);
    expect(await readFile(file, "utf8")).toMatch(/\n$/);
    expect(await readdir(join(directory, "secrets"))).toEqual(["password"]);
    await change();
    await agrees(secret);
    expect(client.badLogins).toBe(0);
    expect(JSON.stringify(log.lines)).not.toContain(client.password);
  });

  it("that the client does not take changes nothing", async () => {
    const { secret, announced, change } = await start();
    client.onPassword = "ignore";
    await expect(change()).rejects.toThrow("the download client keeps its old secret");
    await isUntouched();
    expect(secret.target.secret).toBe(OLD);
    expect(announced).toEqual([expect.stringMatching(/^[\w-]{43}$/), OLD]);
  });

  it("that cannot be written into the file after all is taken back", async () => {
    const [before, away] = [join(directory, "secrets"), join(directory, "away")];
    url = await serve(async (request, response) => {
      const isFirst = request.url?.endsWith("setPreferences") && client.passwords === 0;
      if (isFirst) await rename(before, away);
      await client.listener(request, response);
    });
    const { secret, change } = await start();
    await expect(change()).rejects.toThrow("the download client has its old secret again");
    await rename(away, before);
    expect(client.passwords).toBe(2);
    await agrees(secret);
  });

  it("after which the client says nothing is found out as soon as it answers", async () => {
    const { secret, change } = await start();
    client.onPassword = "die";
    await expect(change()).rejects.toThrow("may have its new secret or its old one");
    expect((await stat(pendingFile())).mode & 0o777).toBe(0o600);
    client.onPassword = "take";
    expect(await secret.settle(signal)).toMatchObject({ outcome: "ok" });
    await agrees(secret);
    expect(await secret.settle(signal)).toBeUndefined();
  });
});

describe("what is refused, with nothing changed", () => {
  it("a secret that came from no file", async () => {
    const { change } = await start({ secretFile: undefined });
    await expect(change()).rejects.toThrow("--password-file");
    await isUntouched();
  });

  it("a file that is a link, as in a cluster's secrets, or gone", async () => {
    const link = join(directory, "link");
    await symlink(file, link);
    for (const [secretFile, says] of [
      [link, "no ordinary file"],
      [join(directory, "gone"), "ENOENT"],
      ["/dev/null", "no ordinary file"],
    ] as const) {
      const { change } = await start({ secretFile });
      await expect(change()).rejects.toThrow(says);
    }
    await isUntouched();
  });

  it("a file beside which no other can be written", async () => {
    // A directory of mode 0500 would not stop root: a name without room for a longer one does.
    const long = join(directory, "secrets", "p".repeat(250));
    await rename(file, long);
    file = long;
    const { change } = await start();
    await expect(change()).rejects.toThrow("cannot be replaced (ENAMETOOLONG)");
    await isUntouched();
  });

  it("an aria2 that Haul has not started", async () => {
    const { secret } = await start();
    const aria2 = createAdapter({ kind: "aria2", url, secret: OLD }, { clock: systemClock });
    await expect(secret.change(aria2, signal, () => {})).rejects.toThrow(
      "change it in its own settings",
    );
    await isUntouched();
  });
});

describe("a crash", () => {
  const NEXT = "plain-next-secret";

  it("before the client has got the secret: the old one goes on", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    const { secret } = await start();
    expect(await secret.settle(signal)).toBeUndefined();
    expect(client.badLogins).toBe(1);
    await isUntouched();
    await agrees(secret);
  });

  it("after that, before the operator's file has it: it gets it at the next start", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    client.password = NEXT;
    const { secret } = await start();
    expect(await secret.settle(signal)).toMatchObject({ outcome: "ok" });
    await agrees(secret);
    expect(client.badLogins).toBe(0);
  });

  it("after that, before the copy is gone: it goes", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    await writeFile(file, NEXT);
    client.password = NEXT;
    const { secret } = await start();
    await secret.settle(signal);
    await agrees(secret);
    expect(await readFile(file, "utf8")).toBe(NEXT); // no line break was there
  });

  it("of a client that is away at the start, too: nothing is decided until it is back", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    client.password = NEXT;
    const good = url;
    url = await serve((_, response) => reply(response, 503, ""));
    const { secret } = await start();
    expect(await secret.settle(signal)).toMatchObject({ outcome: "unreachable" });
    expect(await pending()).toBe(`${NEXT}\n`);
    expect(await given()).toBe(OLD);
    url = good;
  });

  it("of one that lets in whoever is here, so that nobody can tell: it gets the new one again", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    client.open = true;
    const { secret } = await start();
    expect(await secret.settle(signal)).toMatchObject({ outcome: "ok" });
    expect([client.password, client.passwords]).toEqual([NEXT, 1]);
    await agrees(secret);
  });

  it("and an operator's file that cannot be written any more: the secret in the copy is used, and kept", async () => {
    await writeFile(pendingFile(), `${NEXT}\n`);
    client.password = NEXT;
    const { secret } = await start({ secretFile: join(directory, "gone", "password") });
    expect(await secret.settle(signal)).toMatchObject({ outcome: "ok" });
    expect(secret.target.secret).toBe(NEXT);
    expect(await pending()).toBe(`${NEXT}\n`);
    expect(log.lines.map(({ msg }) => msg)).toEqual(["haul.secret-not-written"]);
    expect(await secret.settle(signal)).toBeUndefined();
  });
});
