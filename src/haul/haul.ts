import { join } from "node:path";
import { systemClock } from "../lib/clock.js";
import { hostOf } from "../lib/host.js";
import { systemRandom } from "../lib/random.js";
import { removeAddress, writeAddress } from "./address-file.js";
import { type Agent, createAgent } from "./agent.js";
import { startApi } from "./api.js";
import type { ClientSettings } from "./client-settings.js";
import type { Duty, DutyOptions } from "./duty.js";
import { checkClients, checkHaulOptions, type HaulOptions } from "./options.js";
import { startOwnAria2 } from "./own-aria2.js";
import { frontOwnAria2 } from "./own-aria2-duty.js";
import { createRegistrar } from "./registrar.js";
import { oneAtATime, type Rotate } from "./rotation.js";
import { registerItself } from "./self-duty.js";
import { openState } from "./state.js";
import { describeStatus } from "./status.js";

/** A running agent beside download clients. */
export interface Haul {
  /** Where its own API listens, `http://host:port`. */
  readonly url: string;
  /**
   * Goes on with these download clients, by their names: what is new is asked and registered,
   * what has changed is asked at once, under the identity that it has, and what is gone is
   * deregistered. To be called only on a Haul that was started with download clients.
   * @throws Error of one sentence: about all of them, and then nothing has changed; or about
   *   one whose directory cannot be made, and then the others are fronted.
   */
  apply(clients: readonly ClientSettings[]): Promise<void>;
  /** Says goodbye to Pulse and stops what was started, within about 6 s; the same promise if called again. */
  close(): Promise<void>;
}

/**
 * Starts a Haul. Its API serves when this resolves, whether or not Pulse and the
 * download clients are there; the log says how it goes on.
 *
 * @throws StartError, or another Error of one sentence, if it cannot start.
 */
export async function startHaul(options: HaulOptions): Promise<Haul> {
  const { clock = systemClock, random = systemRandom, version = "", name, pulse, log } = options;
  checkHaulOptions(options);
  const { stateDirectory } = options;
  const state = await openState(stateDirectory, { random, clock, log });
  const about = { name, version, pulse, instanceId: state.identity.instanceId };
  const registrar = createRegistrar(options, clock, random);
  let duty: Duty | undefined;
  let rotate: Rotate | undefined;
  const api = await startApi({
    ...options.listen,
    accepts: (headers) => state.keys.accepts(headers),
    rotate: () => rotate,
    hostNames: options.advertiseUrl ? [hostOf(new URL(options.advertiseUrl))] : [],
    status: () => describeStatus(about, duty?.services() ?? new Map()),
  });
  log.info({ url: api.url }, "haul.listening");
  const needs = { options, registerIn: registrar.registerIn, clock, random };
  let agent: Agent | undefined;

  async function stopAll(): Promise<void> {
    try {
      await duty?.stop();
    } finally {
      await registrar.close();
      await removeAddress(stateDirectory, api.url);
      await state.keys.close();
      await api.close();
    }
  }

  try {
    agent = agentOf(needs);
    duty = agent ?? (await startOwnDuty(needs, () => registerItself(state.keys, api.url, needs)));
    await agent?.apply(clientsOf(options) ?? []);
    rotate = oneAtATime(duty.rotate, log);
    await writeAddress(stateDirectory, api.url);
  } catch (error) {
    await stopAll();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    url: api.url,
    async apply(clients) {
      if (!agent) throw new TypeError("this Haul was started without download clients");
      checkClients(clients);
      await agent.apply(clients);
    },
    close() {
      closing ??= stopAll();
      return closing;
    },
  };
}

function clientsOf({ client, clients }: HaulOptions): readonly ClientSettings[] | undefined {
  return client ? [client] : clients;
}

/** For download clients that were given. */
function agentOf({ options, ...needs }: DutyOptions): Agent | undefined {
  const { client, stateDirectory, pulse, log, environment = {} } = options;
  if (!clientsOf(options)) return undefined;
  const as = client ? "alone" : "several";
  return createAgent({ ...needs, as, stateDirectory, pulse, environment, log });
}

const NOTHING_TO_FRONT =
  "no download client was given with --kind and --url or in a --config, and there is no aria2c on the PATH to start";

/** An aria2 of Haul's own if there is one, else Haul itself. */
async function startOwnDuty(needs: DutyOptions, registerItself: () => Duty): Promise<Duty> {
  const { stateDirectory, downloadDirectory, environment, log } = needs.options;
  const directory = downloadDirectory ?? join(stateDirectory, "downloads");
  const aria2 = await startOwnAria2({
    ...needs,
    stateDirectory,
    downloadDirectory: directory,
    environment,
    log,
  });
  if (aria2) return frontOwnAria2(aria2, directory, needs);
  log.info({ detail: NOTHING_TO_FRONT }, "haul.registers-itself");
  return registerItself();
}
