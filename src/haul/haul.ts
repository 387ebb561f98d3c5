import { join } from "node:path";
import type { ServiceCredentials } from "../client/index.js";
import { type Clock, systemClock } from "../lib/clock.js";
import { hostOf } from "../lib/host.js";
import { type Random, systemRandom } from "../lib/random.js";
import { removeAddress, writeAddress } from "./address-file.js";
import { startApi } from "./api.js";
import { changeAria2Secret } from "./aria2-rotation.js";
import { createClientSecret } from "./client-secret.js";
import { type Duty, type FrontOptions, startFronting } from "./front.js";
import { checkClientUrl } from "./fronted-client.js";
import { checkHaulOptions, type HaulOptions } from "./options.js";
import { startOwnAria2 } from "./own-aria2.js";
import { createRegister, type Register } from "./registrar.js";
import { isTold, oneAtATime, type Rotate } from "./rotation.js";
import { type HaulState, openState } from "./state.js";
import { describeStatus } from "./status.js";

/** The type for which Pulse makes a download-client entry. */
const TYPE = "download-client";

/** A running agent beside a download client. */
export interface Haul {
  /** Where its own API listens, `http://host:port`. */
  readonly url: string;
  /** Says goodbye to Pulse and stops what was started, within about 6 s; the same promise if called again. */
  close(): Promise<void>;
}

/**
 * Starts a Haul. Its API serves when this resolves, whether or not Pulse and the
 * download client are there; the log says how it goes on.
 *
 * @throws StartError, or another Error of one sentence, if it cannot start.
 */
export async function startHaul(options: HaulOptions): Promise<Haul> {
  const { clock = systemClock, random = systemRandom, version = "", name, pulse, log } = options;
  checkHaulOptions(options);
  const { stateDirectory } = options;
  const state = await openState(stateDirectory, { random, clock, log });
  const about = { name, version, pulse, instanceId: state.identity.instanceId };
  let duty: Duty | undefined;
  let rotate: Rotate | undefined;
  const api = await startApi({
    ...options.listen,
    accepts: (headers) => state.keys.accepts(headers),
    rotate: () => rotate,
    hostNames: options.advertiseUrl ? [hostOf(new URL(options.advertiseUrl))] : [],
    status: () =>
      describeStatus(about, duty?.status() ?? { registration: undefined, client: undefined }),
  });
  log.info({ url: api.url }, "haul.listening");
  try {
    const register = createRegister(options, clock, random);
    duty = await startDuty({ options, state, clock, random, register, apiUrl: api.url });
    rotate = oneAtATime(duty.rotate, log);
    await writeAddress(stateDirectory, api.url);
  } catch (error) {
    await duty?.stop();
    await state.keys.close();
    await api.close();
    throw error;
  }
  const started = duty;
  let closing: Promise<void> | undefined;

  async function stopAll(): Promise<void> {
    try {
      await started.stop();
    } finally {
      await removeAddress(stateDirectory, api.url);
      await state.keys.close();
      await api.close();
    }
  }

  return {
    url: api.url,
    close() {
      closing ??= stopAll();
      return closing;
    },
  };
}

/** It listens well within that; a probe before would only say that it does not yet. */
const ARIA2_STARTS_IN_MS = 300;
const NOTHING_TO_FRONT =
  "no download client was given with --kind and --url, and there is no aria2c on the PATH to start";
const NOT_ADVERTISED =
  "the aria2 that Haul started is registered at its own address: its port may change, so nothing else can lead to it";

interface Setting {
  readonly options: HaulOptions;
  readonly state: HaulState;
  readonly clock: Clock;
  readonly random: Random;
  readonly register: Register;
  /** Of Haul's own API. */
  readonly apiUrl: string;
}

/** Fronts the download client given, else an aria2 of our own, else registers Haul itself. */
async function startDuty(setting: Setting): Promise<Duty> {
  const { client, stateDirectory, downloadDirectory, environment, log } = setting.options;
  if (client) {
    const { advertiseUrl } = setting.options;
    const secret = await createClientSecret(client, { ...setting, stateDirectory, log });
    const given = {
      target: () => secret.target,
      settle: secret.settle,
      changeSecret: secret.change,
      localDirectory: undefined,
      firstInMs: 0,
    };
    return front(setting, given, advertiseUrl);
  }
  const localDirectory = downloadDirectory ?? join(stateDirectory, "downloads");
  const aria2 = await startOwnAria2({
    ...setting,
    stateDirectory,
    downloadDirectory: localDirectory,
    environment,
    log,
  });
  if (!aria2) {
    log.info({ detail: NOTHING_TO_FRONT }, "haul.registers-itself");
    return registerItself(setting);
  }
  if (setting.options.advertiseUrl) log.warn({ detail: NOT_ADVERTISED }, "haul.advertise-ignored");
  const duty = front(setting, {
    target: () => aria2.target,
    changeSecret: (_, signal, announce) =>
      changeAria2Secret(aria2, setting.clock, signal, announce),
    localDirectory,
    firstInMs: ARIA2_STARTS_IN_MS,
  });
  return {
    ...duty,
    async stop() {
      await duty.stop(); // first: no manager should be sent to an aria2 that is going
      await aria2.stop();
    },
  };
}

function front(
  { options, clock, random, register }: Setting,
  client: Pick<FrontOptions, "target" | "settle" | "changeSecret" | "localDirectory" | "firstInMs">,
  advertiseUrl?: string,
): Duty {
  const { name, log } = options;
  return startFronting({
    ...client,
    describe: ({ kind, url }, version) => ({
      name,
      type: TYPE,
      kind,
      apiUrl: advertiseUrl ?? url,
      version,
    }),
    register,
    log,
    clock,
    random,
  });
}

/** With nothing to front, Haul's own API is what is registered, with its own key. */
function registerItself({ options, state, register, apiUrl, clock }: Setting): Duty {
  const { keys } = state;
  const url = options.advertiseUrl ?? apiUrl;
  if (!options.advertiseUrl)
    checkClientUrl(url, `--listen ${options.listen.host} without --advertise-url`);
  const registration = register(
    {
      name: options.name,
      type: TYPE,
      kind: "haul",
      apiUrl: url,
      healthUrl: `${url.replace(/\/+$/, "")}/health`,
      ...(options.version && { version: options.version }),
    },
    credentialsOf(keys.current),
  );
  registration.subscribe(() => keys.acknowledge(registration.acknowledged?.apiKey ?? ""));
  return {
    status: () => ({ registration, client: undefined }),
    async rotate(overlapMs, signal) {
      await keys.rotate(overlapMs);
      registration.update({ credentials: credentialsOf(keys.current) });
      return { what: "api-key", pulse: await isTold(registration, keys.current, clock, signal) };
    },
    stop: () => registration.close(),
  };
}

function credentialsOf(key: string): ServiceCredentials {
  return { username: "", apiKey: key, state: "verified" };
}
