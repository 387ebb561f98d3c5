import { ConnectError } from "@connectrpc/connect";
import { connectPulse } from "../../../src/client/index.js";
import { HAUL } from "../pulse.js";
import type { Attack } from "./attack.js";

const AT_A_TIME = 100;
/** What one may have at most, and of the longest characters. */
const METADATA = Object.fromEntries(
  Array.from({ length: 64 }, (_, n) => [`key-${n}`, "€".repeat(1_024)]),
);

/** Many registrations by one token, all that it has: "plain", or with as much "metadata" as can be sent. */
export const registrations: Attack = async (config, harvest) => {
  const { registry } = connectPulse({
    pulse: `http://127.0.0.1:${config.port}`,
    token: config.token ?? "",
    retry: "never",
  });
  let next = 0;
  const work = async () => {
    while (next < config.count) {
      const name = `flood-${next++}`;
      const service = { ...HAUL.service, name };
      const more = config.form === "metadata" ? { metadata: METADATA } : {};
      const identity = { instanceId: name, instanceSecret: `the secret of ${name}` };
      const outcome = await registry
        .register({ service: { ...service, ...more }, ...identity })
        .then(
          () => "registered",
          (error) => ConnectError.from(error).rawMessage.slice(0, 80),
        );
      harvest.seen[outcome] = (harvest.seen[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
};
