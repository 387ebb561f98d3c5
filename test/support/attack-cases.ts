import type { AttackConfig } from "./attacks/attack.js";

/** One attack, and in which strength it is made. */
export interface AttackCase extends Pick<AttackConfig, "attack" | "form"> {
  readonly what: string;
  /** In the soak, and in `npm test`; without the second it is made only in the soak. */
  readonly count: readonly [whole: number, short?: number];
  /** Whose token the attacker has; none if left out. */
  readonly token?: "service" | "admin";
  /** What it may leave behind, since it was allowed to, bytes. */
  readonly keptBytes?: number;
  /** Lines that it may write into the log. */
  readonly maxLogLines?: number;
}

/** Groups of attacks, each made on a Pulse of its own. */
export const ATTACK_CASES: Readonly<Record<string, readonly AttackCase[]>> = {
  "frames that cost the sender nothing": [
    frames("PING", [8, 4]),
    frames("PING, unread", [8]),
    frames("SETTINGS", [8, 4]),
    frames("empty SETTINGS", [8]),
    frames("SETTINGS, unread", [8]),
    frames("RST_STREAM", [8, 4]),
    frames("RST_STREAM by its own mistakes", [8]),
    frames("empty calls", [8]),
    frames("WINDOW_UPDATE", [8]),
    frames("PRIORITY", [8]),
    frames("PRIORITY of many streams", [8, 4]),
    frames("empty DATA", [8]),
    frames("padded DATA", [8]),
    frames("unknown", [8]),
    frames("HEADERS without end", [8, 4]),
  ],
  "calls that are begun and never asked": [
    calls("20,000 on one connection", "20000", [20_000, 20_000]),
    calls("1,000 on each of 50 connections", "1000", [50_000, 20_000]),
    calls("2,000, and almost all of a 4 MB message in each", "1000, filled", [2_000, 1_000]),
  ],
  "headers and messages": [
    headers("HTTP/2, many headers", [8]),
    headers("HTTP/2, huge headers", [8, 4]),
    headers("HTTP/2, gRPC metadata under the limit", [8]),
    headers("HTTP/2, one header of HPACK's table, 12,000 times", [8, 4]),
    headers("HTTP/1, many headers", [8, 4]),
    headers("HTTP/1, one huge header", [8]),
    packed("gRPC, gzip", [20, 5]),
    packed("Connect, gzip", [20]),
    packed("Connect, brotli", [20, 5]),
  ],
  "slow peers, and connections": [
    slow("HTTP/1 headers", [4_000, 300]),
    slow("HTTP/1 body", [4_000, 300]),
    slow("HTTP/2 preface", [4_000]),
    slow("HTTP/2 HEADERS", [4_000]),
    slow("HTTP/2 message", [4_000, 300]),
    connections("silent", [10_000]),
    connections("HTTP/1", [10_000]),
    connections("HTTP/2", [10_000]),
    connections("HTTP/2 with a call", [10_000, 1_000]),
  ],
  "tokens, bad and good": [
    {
      what: "calls with tokens that nobody made, 100 at a time",
      attack: "badTokens",
      count: [100, 100],
      maxLogLines: 3,
    },
    {
      what: "500 watches that never read, all waits in the network",
      attack: "unreadWatches",
      form: "wide",
      token: "admin",
      count: [500],
    },
    {
      what: "500 watches that never read, all waits in Pulse",
      attack: "unreadWatches",
      form: "narrow",
      token: "admin",
      count: [500, 100],
    },
    {
      what: "registrations with as much metadata as can be sent",
      attack: "registrations",
      form: "metadata",
      token: "service",
      count: [500, 100],
    },
    {
      what: "registrations by one token",
      attack: "registrations",
      form: "plain",
      token: "service",
      count: [10_000, 500],
      keptBytes: 150_000_000,
    },
  ],
};

type Counts = AttackCase["count"];

function frames(form: string, count: Counts): AttackCase {
  return { what: `flood of ${form}`, attack: "frames", form, count };
}

function calls(what: string, form: string, count: Counts): AttackCase {
  return { what: `calls: ${what}`, attack: "streams", form, count };
}

function headers(form: string, count: Counts): AttackCase {
  return { what: `headers: ${form}`, attack: "headerBombs", form, count };
}

function packed(form: string, count: Counts): AttackCase {
  return { what: `200 MB of zeros: ${form}`, attack: "packedBombs", form, count };
}

function slow(form: string, count: Counts): AttackCase {
  return { what: `slowloris: ${form}`, attack: "slow", form, count };
}

function connections(form: string, count: Counts): AttackCase {
  return { what: `10,000 connections of one address: ${form}`, attack: "connections", form, count };
}
