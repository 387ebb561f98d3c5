import type { PulseConnection } from "../../src/client/index.js";
import type { Random } from "../../src/lib/random.js";
import type { Churn } from "./churn.js";
import { HAUL } from "./pulse.js";

/** Instances that register by a call, as by grpcurl: nobody keeps them alive, and they lapse. */
const INSTANCES = 20;
const TTL = { seconds: 5n, nanos: 0 };

/** What is called, by services and operators, again and again for the same few things. */
export function addCalls(
  churn: Churn,
  { registry, downloadClients }: PulseConnection,
  random: Random,
): void {
  const some = <T>(items: readonly T[]) => items[Math.floor(random.next() * items.length)];
  const identity = () => {
    const name = `called-${Math.floor(random.next() * INSTANCES)}`;
    return { instanceId: name, instanceSecret: `the secret of ${name}` };
  };
  let made = 0;

  churn.add("registered again", 80, async () => {
    const { instanceId, instanceSecret } = identity();
    const service = { ...HAUL.service, name: instanceId };
    await registry.register({ service, instanceId, instanceSecret, requestedTtl: TTL });
    return 1;
  });
  churn.add("deregistered", 500, async () => {
    const { removed } = await registry.deregister(identity());
    return removed ? 1 : 0;
  });
  churn.add("entries edited", 150, async () => {
    const { downloadClients: entries } = await downloadClients.listDownloadClients({});
    const entry = some(entries);
    if (!entry) return 0;
    const downloadClient = { id: entry.id, priority: Math.floor(random.next() * 50) };
    const request = { downloadClient, updateMask: { paths: ["priority"] } };
    return succeeds(downloadClients.updateDownloadClient(request)); // it may be gone meanwhile
  });
  churn.add("entries made and deleted", 400, async () => {
    const name = `by-hand-${made++ % INSTANCES}`;
    const downloadClient = { name, kind: "sabnzbd", host: "nas.local", port: 8080 };
    const reply = await downloadClients.createDownloadClient({ downloadClient });
    await downloadClients.deleteDownloadClient({ id: reply.downloadClient?.id ?? "" });
    return 2;
  });
  churn.add("entries deleted and restored", 1_000, async () => {
    const { downloadClients: entries } = await downloadClients.listDownloadClients({});
    const id = some(entries.filter(({ name }) => name.startsWith("called-")))?.id;
    if (!id) return 0;
    const deleted = await succeeds(downloadClients.deleteDownloadClient({ id }));
    return deleted + (await succeeds(downloadClients.restoreDownloadClient({ id })));
  });
}

function succeeds(call: Promise<unknown>): Promise<number> {
  return call.then(
    () => 1,
    () => 0,
  );
}
