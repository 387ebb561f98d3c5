// Attacks Pulse until it is ended. Says when it is at full strength, and what it has seen.
import type { Attack, AttackConfig, Harvest } from "../attacks/attack.js";
import { badTokens } from "../attacks/bad-tokens.js";
import { connections } from "../attacks/connections.js";
import { frames } from "../attacks/frame-floods.js";
import { headerBombs } from "../attacks/header-bombs.js";
import { packedBombs } from "../attacks/packed-bombs.js";
import { registrations } from "../attacks/registrations.js";
import { slow } from "../attacks/slow.js";
import { streams } from "../attacks/streams.js";
import { unreadWatches } from "../attacks/unread-watches.js";
import { say } from "../say.js";

const ATTACKS: Readonly<Record<string, Attack>> = {
  badTokens,
  connections,
  frames,
  headerBombs,
  packedBombs,
  registrations,
  slow,
  streams,
  unreadWatches,
};

const config = JSON.parse(process.argv[2] ?? "") as AttackConfig;
const harvest: Harvest = { opened: 0, closed: 0, sentBytes: 0, seen: {} };
const attack = ATTACKS[config.attack];
if (!attack) throw new Error(`there is no attack ${config.attack}`);

process.on("SIGTERM", () => {
  say({ msg: "harvest", ...harvest });
  process.exit(0);
});
setInterval(() => {}, 60_000); // it goes on until it is ended
await attack(config, harvest);
say({ msg: "attacking", ...harvest });
