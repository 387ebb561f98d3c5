import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { isProbeable, PROBE_TIMEOUT_MS, probeClient } from "../../src/adapters/probe.js";
import { eventually } from "../support/eventually.js";
import { ManualClock } from "../support/manual-clock.js";
import { probeOnce, reply, serve } from "./fake-client.js";

describe("isProbeable", () => {
  it.each(["aria2", "deluge", "haul", "nzbget", "qbittorrent", "sabnzbd", "transmission"])(
    "%s is",
    (kind) => {
      expect(isProbeable(kind)).toBe(true);
    },
  );

  it.each(["rtorrent", "", "Aria2", "constructor", "__proto__"])("%j is not", (kind) => {
    expect(isProbeable(kind)).toBe(false);
  });
});

describe("a probe", () => {
  /** Longer than a quarter of the time there is, shorter than a call may take. */
  const SLOW_MS = 4_000;

  it("of a client that is slow each time ends within 14 s, with no timer left", async () => {
    const clock = new ManualClock();
    const waiting: ServerResponse[] = [];
    const url = await serve((_, response) => void waiting.push(response));
    const nextCall = () => eventually(() => expect(waiting).toHaveLength(1));
    async function answerLate(status: number, body: string, cookie?: string): Promise<void> {
      await nextCall();
      clock.advanceSync(SLOW_MS);
      for (const response of waiting.splice(0)) reply(response, status, body, cookie);
    }
    const target = { kind: "qbittorrent", url, username: "me", secret: "plain-secret" } as const;
    const startedAt = clock.now();
    const probing = probeOnce(target, clock);
    await answerLate(403, "Forbidden");
    await answerLate(200, "Ok.", "SID=x");
    await answerLate(200, "v4.5.2");
    await nextCall();
    clock.advanceSync(PROBE_TIMEOUT_MS - 3 * SLOW_MS);
    expect(await probing).toEqual({
      outcome: "unreachable",
      message: "it did not answer all that was asked within 14 s",
    });
    expect(clock.now() - startedAt).toBe(14_000);
    expect(clock.pending).toBe(0);
  });

  it("that is aborted rejects at once with the signal's reason, with no timer left", async () => {
    const clock = new ManualClock();
    const url = await serve(() => {});
    const controller = new AbortController();
    const { signal } = controller;
    const probing = probeClient({ kind: "aria2", url }, { clock, signal });
    controller.abort(new Error("enough"));
    await expect(probing).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
  });

  it("that was aborted before it began asks nobody", async () => {
    const clock = new ManualClock();
    let asked = 0;
    const url = await serve(() => void asked++);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(probeClient({ kind: "aria2", url }, { clock, signal })).rejects.toThrow("enough");
    expect(asked).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("of an address that is none has an outcome all the same", async () => {
    const probe = await probeOnce({
      kind: "aria2",
      url: "http://[nonsense",
      secret: "plain-secret",
    });
    expect(probe.outcome).toBe("unreachable");
    expect(probe.message).not.toContain("plain-secret");
  });
});
