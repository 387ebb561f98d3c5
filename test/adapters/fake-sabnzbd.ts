import type { RequestListener } from "node:http";
import { bodyOf, reply } from "./fake-client.js";

/** A SABnzbd as it shows to a caller, with what a test changes. */
export class FakeSabnzbd {
  version = "3.7.1";
  key = "right";
  /** What it says with HTTP 403 to whoever calls: the host name or the network does not suit it. */
  lockedOut: string | undefined;
  /** Whether it says why it refuses, which is a setting of its own. */
  tellsWhy = true;
  queue: Record<string, unknown> = {};
  status: Record<string, unknown> = { completedir: "/complete" };
  history: readonly unknown[] = [];
  /** What it makes of a file. */
  added: object = { status: true, nzo_ids: ["SABnzbd_nzo_jsvqah3f"] };
  /** How often a call had no key, or a wrong one: it warns its user of each. */
  warnings = 0;
  readonly urls: string[] = [];
  readonly modes: string[] = [];
  readonly fields: FormData[] = [];

  readonly listener: RequestListener = async (request, response) => {
    const body = await bodyOf(request);
    this.urls.push(request.url ?? "");
    if (request.url !== "/base/api") return reply(response, 404, "<html>");
    const headers = { "content-type": String(request.headers["content-type"]) };
    const fields = await new Response(body, { headers }).formData();
    const mode = String(fields.get("mode"));
    this.modes.push(mode);
    this.fields.push(fields);
    const refusal = this.#refusal(mode, fields.get("apikey"));
    if (refusal) return reply(response, 403, this.tellsWhy ? refusal : "");
    return reply(response, 200, JSON.stringify(this.#answer(mode)));
  };

  #refusal(mode: string, key: unknown): string | undefined {
    if (this.lockedOut) return this.lockedOut;
    if (mode === "auth" || key === this.key) return undefined;
    this.warnings += 1;
    return key ? "API Key Incorrect" : "API Key Required";
  }

  #answer(mode: string): object {
    const idle = { version: this.version, kbpersec: "0.00", noofslots_total: 0, slots: [] };
    switch (mode) {
      case "auth":
        return { auth: "apikey" };
      case "queue":
        return { queue: { ...idle, ...this.queue } };
      case "fullstatus":
        return { status: this.status };
      case "history":
        return { history: { slots: this.history } };
      case "addfile":
        return this.added;
      default:
        return { status: false, error: "not implemented" };
    }
  }
}
