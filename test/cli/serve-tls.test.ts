import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { UsageError } from "../../src/cli/failure.js";
import { findTlsFiles } from "../../src/cli/serve-tls.js";

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "pulse-serve-tls-"));
  onTestFinished(() => rm(data, { recursive: true }));
});

describe("Pulse serves", () => {
  it("plain text if there is nothing else", async () => {
    expect(await findTlsFiles({}, data)).toBeUndefined();
  });

  it("what `pulse tls init` made, with an authority of clients if one is given", async () => {
    await mkdir(join(data, "tls"));
    await writeFile(join(data, "tls", "server.crt"), "");
    const made = { certificate: join(data, "tls/server.crt"), key: join(data, "tls/server.key") };
    expect(await findTlsFiles({}, data)).toEqual(made);
    expect(await findTlsFiles({ clientCa: "/ca" }, data)).toEqual({
      ...made,
      clientAuthority: "/ca",
    });
    // What is named goes before what was made.
    const given = await findTlsFiles({ tlsCert: "/c", tlsKey: "/k" }, data);
    expect(given).toEqual({ certificate: "/c", key: "/k" });
  });

  it("nothing when the options do not fit together", async () => {
    const wrong = [{ tlsCert: "/c" }, { tlsKey: "/k" }, { clientCa: "/ca" }];
    for (const options of wrong)
      await expect(findTlsFiles(options, data)).rejects.toThrow(UsageError);
  });
});
