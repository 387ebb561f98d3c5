import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { AuditService } from "../../gen/pulse/v1/audit_service_pb.js";
import { DownloadClientService } from "../../gen/pulse/v1/download_client_service_pb.js";
import { RegistryService } from "../../gen/pulse/v1/registry_service_pb.js";
import { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { TokenService } from "../../gen/pulse/v1/token_service_pb.js";
import { METHODS, methodPath } from "../support/contract-services.js";
import { type Clients, HAUL, Scope } from "../support/pulse.js";
import { describeContract, type PulseUnderTest } from "../support/pulse-nodes.js";
import { failure } from "../support/status.js";

type Word = "REGISTER" | "DISCOVER" | "OBSERVE" | "ADMIN" | "JOIN";
const WORDS: readonly Word[] = ["REGISTER", "DISCOVER", "OBSERVE", "ADMIN", "JOIN"];

interface Row {
  /** Makes the call; what is not there it asks for by the id `none`. */
  readonly call: (clients: Clients) => Promise<unknown>;
  /** The scopes that let it pass. */
  readonly scopes: readonly Word[];
}
/** A row for every RPC of a service: one that is missing does not compile. */
type Table<S extends DescService> = Readonly<Record<keyof S["method"], Row>>;

const READERS: readonly Word[] = ["OBSERVE", "DISCOVER", "ADMIN"];
const SERVICES: readonly Word[] = ["REGISTER", "ADMIN"];
const ADMIN: readonly Word[] = ["ADMIN"];

const REGISTRY: Table<typeof RegistryService> = {
  register: { call: ({ registry }) => registry.register(HAUL), scopes: [...SERVICES, "JOIN"] },
  heartbeat: {
    call({ registry }) {
      const beat = (async function* () {
        yield { leaseId: "unknown", sequence: 1n };
      })();
      return firstOf(registry.heartbeat(beat));
    },
    scopes: SERVICES,
  },
  deregister: {
    call: ({ registry }) => registry.deregister({ instanceId: "none" }),
    scopes: SERVICES,
  },
  listServices: { call: ({ registry }) => registry.listServices({}), scopes: READERS },
  getService: { call: ({ registry }) => registry.getService({ id: "none" }), scopes: READERS },
  watchServices: { call: ({ registry }) => firstOf(registry.watchServices({})), scopes: READERS },
  explainService: {
    call: ({ registry }) => registry.explainService({ id: "none" }),
    scopes: READERS,
  },
  approveService: {
    call: ({ registry }) => registry.approveService({ id: "none" }),
    scopes: ADMIN,
  },
};

const DOWNLOAD_CLIENTS: Table<typeof DownloadClientService> = {
  listDownloadClients: {
    call: ({ downloadClients }) => downloadClients.listDownloadClients({}),
    scopes: READERS,
  },
  watchDownloadClients: {
    call: ({ downloadClients }) => firstOf(downloadClients.watchDownloadClients({})),
    scopes: READERS,
  },
  createDownloadClient: {
    call: ({ downloadClients }) => downloadClients.createDownloadClient({}),
    scopes: ADMIN,
  },
  updateDownloadClient: {
    call: ({ downloadClients }) => downloadClients.updateDownloadClient({}),
    scopes: ADMIN,
  },
  deleteDownloadClient: {
    call: ({ downloadClients }) => downloadClients.deleteDownloadClient({ id: "none" }),
    scopes: ADMIN,
  },
  restoreDownloadClient: {
    call: ({ downloadClients }) => downloadClients.restoreDownloadClient({ id: "none" }),
    scopes: ADMIN,
  },
  testDownloadClient: {
    call: ({ downloadClients }) => downloadClients.testDownloadClient({ id: "none" }),
    scopes: ADMIN,
  },
};

const TOKENS: Table<typeof TokenService> = {
  createToken: {
    call: ({ tokens }) => tokens.createToken({ name: "x", scopes: [Scope.OBSERVE] }),
    scopes: ADMIN,
  },
  listTokens: { call: ({ tokens }) => tokens.listTokens({}), scopes: ADMIN },
  revokeToken: { call: ({ tokens }) => tokens.revokeToken({ id: "none" }), scopes: ADMIN },
};

const AUDIT: Table<typeof AuditService> = {
  listAuditEntries: { call: ({ audit }) => audit.listAuditEntries({}), scopes: ADMIN },
};

const SECRETS: Table<typeof SecretService> = {
  rotateSecrets: { call: ({ secrets }) => secrets.rotateSecrets({}), scopes: ADMIN },
};

const TABLES: readonly (readonly [DescService, Readonly<Record<string, Row>>])[] = [
  [RegistryService, REGISTRY],
  [DownloadClientService, DOWNLOAD_CLIENTS],
  [TokenService, TOKENS],
  [AuditService, AUDIT],
  [SecretService, SECRETS],
];

interface Rpc extends Row {
  readonly method: DescMethod;
}

const RPCS: readonly Rpc[] = TABLES.flatMap(([service, rows]) =>
  service.methods.flatMap((method) => {
    const row = rows[method.localName];
    return row ? [{ method, ...row }] : [];
  }),
);

/** Opens a stream, and leaves it with its first response. */
async function firstOf(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses) return;
}

/** A bidirectional stream is not for HTTP/1.1. */
const rpcsOver = (protocol: string): [string, Rpc][] =>
  RPCS.filter(({ method }) => protocol === "gRPC" || method.methodKind !== "bidi_streaming").map(
    (rpc) => [rpc.method.name, rpc],
  );

describe("the table", () => {
  it("has a row for every method of every service of pulse.v1", () => {
    const known = RPCS.map(({ method }) => method);
    expect(METHODS.length).toBeGreaterThan(15);
    expect(METHODS.map(methodPath).sort()).toEqual(known.map(methodPath).sort());
  });
});

describeContract(({ protocol, start }) => {
  let pulse: PulseUnderTest;
  const tokens = new Map<string, string>();
  beforeAll(async () => {
    pulse = await start();
    const admin = pulse.clients("gRPC", await pulse.fileToken("admin")).tokens;
    for (const word of WORDS) {
      const request = { name: word, scopes: [Scope[word]] };
      const bound = word === "JOIN" ? { maxUses: 100 } : {};
      tokens.set(word, (await admin.createToken({ ...request, ...bound })).token);
    }
  });
  afterAll(() => pulse.stop());

  describe.each(rpcsOver(protocol))("%s", (_, { call, scopes }) => {
    it.each(WORDS)("with scope %s", async (word) => {
      const outcome = await call(pulse.clients(protocol, tokens.get(word))).then(
        () => "passed",
        (error) => failure(Promise.reject(error)),
      );
      const refused = { code: "PermissionDenied", reason: "SCOPE_MISSING" };
      if (scopes.includes(word)) {
        expect(outcome).not.toMatchObject(refused);
        expect(outcome).not.toMatchObject({ code: "Unimplemented" });
      } else expect(outcome).toMatchObject(refused);
    });

    it("without a token", async () => {
      expect(await failure(call(pulse.clients(protocol, undefined)))).toMatchObject({
        code: "Unauthenticated",
        reason: "TOKEN_MISSING",
      });
    });

    it.each(["", "x", `pulse_${"0".repeat(16)}_${"A".repeat(43)}`])(
      "with token %j",
      async (token) => {
        expect(await failure(call(pulse.clients(protocol, token)))).toMatchObject({
          code: "Unauthenticated",
          reason: "TOKEN_INVALID",
        });
      },
    );
  });

  it("scope observe sees entries without credentials, discover with them", async () => {
    await pulse.clients(protocol, tokens.get("REGISTER")).registry.register(HAUL);
    const seen = async (scope: string) => {
      const { downloadClients } = pulse.clients(protocol, tokens.get(scope));
      const [entry] = (await downloadClients.listDownloadClients({})).downloadClients;
      return [entry?.name, entry?.username, entry?.password];
    };
    expect(await seen("OBSERVE")).toEqual(["haul", "", ""]);
    expect(await seen("DISCOVER")).toEqual(["haul", "admin", "the-api-key-of-haul"]);
  });

  it("a token with a right id and a wrong secret is refused like an unknown one", async () => {
    const [, id] = /^pulse_([0-9a-f]{16})_/.exec(tokens.get("ADMIN") ?? "") ?? [];
    const forged = `pulse_${id}_${"A".repeat(43)}`;
    const [wrong, unknown] = await Promise.all(
      [forged, `pulse_${"0".repeat(16)}_${"A".repeat(43)}`].map((token) =>
        failure(pulse.clients(protocol, token).tokens.listTokens({})),
      ),
    );
    expect(wrong).toEqual(unknown);
  });

  it("a revoked token is refused from the next call on, and stays listed without its secret", async () => {
    const admin = pulse.clients(protocol, tokens.get("ADMIN")).tokens;
    const made = await admin.createToken({
      name: "to revoke",
      scopes: [Scope.OBSERVE, Scope.OBSERVE],
    });
    expect(made.scopes).toEqual([Scope.OBSERVE]);
    const { downloadClients } = pulse.clients(protocol, made.token);
    await downloadClients.listDownloadClients({});
    const { token } = await admin.revokeToken({ id: made.id });
    expect(token?.revokeTime).toBeDefined();
    const refused = async () =>
      expect(await failure(downloadClients.listDownloadClients({}))).toMatchObject({
        code: "Unauthenticated",
        reason: "TOKEN_INVALID",
      });
    await refused();
    const listed = (await admin.listTokens({})).tokens.find(({ id }) => id === made.id);
    expect(listed).toMatchObject({ name: "to revoke", scopes: [Scope.OBSERVE] });
    const again = await admin.revokeToken({ id: made.id });
    expect(again.token?.revokeTime).toEqual(token?.revokeTime);
  });

  it("a token cannot revoke itself", async () => {
    const admin = pulse.clients(protocol, tokens.get("ADMIN")).tokens;
    const [, id = ""] = /^pulse_([0-9a-f]{16})_/.exec(tokens.get("ADMIN") ?? "") ?? [];
    expect(await failure(admin.revokeToken({ id }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "TOKEN_IN_USE",
    });
  });
});

describeContract(({ protocol, start }) => {
  it("an address with too many calls without a valid token is told so; its valid ones pass", async () => {
    const pulse = await start({ failedAuthentications: { burst: 4, perSecond: 0.001 } });
    onTestFinished(() => pulse.stop());
    const { downloadClients } = pulse.clients(
      protocol,
      `pulse_${"0".repeat(16)}_${"A".repeat(43)}`,
    );
    const codes: string[] = [];
    let last = {};
    for (let n = 0; n < 10; n++) {
      const refusal = await failure(downloadClients.listDownloadClients({}));
      codes.push(refusal.code);
      last = refusal;
    }
    // Each of two nodes counts by itself.
    expect(codes.filter((code) => code === "Unauthenticated").length % 4).toBe(0);
    expect(last).toMatchObject({
      code: "ResourceExhausted",
      reason: "TOO_MANY_FAILED_AUTHENTICATIONS",
      retryAfterMs: expect.closeTo(1_000_000, -5),
    });
    const valid = pulse.clients(protocol, await pulse.token(Scope.OBSERVE));
    for (let n = 0; n < 10; n++) await valid.downloadClients.listDownloadClients({});
  });
});
