import { beforeEach, describe, expect, it } from "vitest";
import type { Grant, Registration, RegistrationEvent } from "../../src/client/index.js";
import { logRegistration } from "../../src/haul/registration-log.js";
import { recordingLog } from "../support/recording-log.js";

const GRANT: Grant = {
  serviceId: "service-1",
  instanceId: "instance-1",
  leaseId: "a-lease",
  ttlMs: 15_000,
  generation: 1n,
  epoch: "epoch",
  revision: 1n,
  entryName: "haul",
};
const error = new Error("connect ECONNREFUSED");

let log: ReturnType<typeof recordingLog>;
let emit: (event: RegistrationEvent) => void;
beforeEach(() => {
  log = recordingLog();
  const registration: Registration = {
    state: "connecting",
    grant: undefined,
    acknowledged: undefined,
    subscribe(listener) {
      emit = listener;
      return () => {};
    },
    update() {},
    report() {},
    close: async () => {},
  };
  logRegistration(registration, "http://nas:9696", log);
});

const written = () => log.lines.map(({ level, msg }) => `${level} ${msg}`);
const attempt = (n: number, because = error): RegistrationEvent => ({
  type: "attempt-failed",
  attempt: n,
  error: because,
  retryInMs: 2_000,
});

describe("the log of a registration", () => {
  it("says which Pulse it is where there is a choice", () => {
    const endpoint = "10.0.0.1:9696";
    emit({ type: "registered", grant: GRANT, endpoint });
    emit({ type: "reconnected", grant: GRANT, registeredAnew: false, endpoint });
    emit({ type: "registered", grant: GRANT });
    expect(log.lines.map(({ fields }) => fields)).toMatchObject([{ endpoint }, { endpoint }, {}]);
    expect(log.lines[2]?.fields).not.toHaveProperty("endpoint");
  });

  it.each<[RegistrationEvent, string, RegExp]>([
    [{ type: "registered", grant: GRANT }, "info haul.registered", /"entryName":"haul"/],
    [{ type: "updated", grant: GRANT }, "info haul.updated", /service-1/],
    [
      { type: "reconnected", grant: GRANT, registeredAnew: true },
      "info haul.reconnected",
      /"registeredAnew":true/,
    ],
    [{ type: "disconnected", error, retryInMs: 500 }, "warn haul.disconnected", /again in 0.5 s/],
    [
      { type: "standalone", afterMs: 120_000, error },
      "warn haul.standalone",
      /within 120 s: Haul goes on alone and keeps trying/,
    ],
    [{ type: "rejected", error, retryInMs: 60_000 }, "error haul.rejected", /check its token/],
    [{ type: "superseded" }, "error haul.superseded", /two processes share one identity/],
    [{ type: "failed", error }, "error haul.failed", /mend what the error names/],
    [{ type: "closed" }, "info haul.unregistered", /nas/],
  ])("%o", (event, line, says) => {
    emit(event);
    expect(written()).toEqual([line]);
    expect(JSON.stringify(log.lines[0]?.fields)).toMatch(says);
    expect(JSON.stringify(log.lines)).not.toContain("a-lease");
  });

  it("says once that an operator has to approve it", () => {
    const grant: Grant = { ...GRANT, waitsForApproval: true };
    emit({ type: "registered", grant });
    emit({ type: "updated", grant });
    emit({ type: "registered", grant: GRANT });
    expect(written()).toEqual([
      "info haul.registered",
      "info haul.waits-for-approval",
      "info haul.updated",
      "info haul.registered",
    ]);
    expect(JSON.stringify(log.lines[1]?.fields)).toContain("pulse services approve service-1");
  });

  it("tells the same problem once, the repetitions are for debugging", () => {
    for (let n = 1; n <= 3; n++) emit(attempt(n));
    emit(attempt(4, new Error("another")));
    emit({ type: "registered", grant: GRANT });
    emit(attempt(1, new Error("another")));
    expect(written().map((line) => line.split(" ", 1)[0])).toEqual([
      "warn",
      "debug",
      "debug",
      "warn",
      "info",
      "warn",
    ]);
  });
});
