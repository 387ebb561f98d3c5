import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  connectPulse,
  type RegistrationEvent,
  registerWithRetry,
  startRegistration,
  type TlsSource,
  watchDownloadClients,
} from "../../src/client/index.js";
import { type ClientsAuthority, createTestAuthority, selfSigned } from "../support/authority.js";
import { eventually } from "../support/eventually.js";
import { TestPulse } from "../support/pulse.js";
import { recordingLog } from "../support/recording-log.js";
import { startTlsFront, type TlsFrontOptions } from "../support/tls-front.js";
import { startNode } from "../wire/loopback-node.js";

// All of the client's half over TLS, to a whole Pulse, in real time.

let pulse: TestPulse;
let token: string;
let authority: ClientsAuthority;
let stranger: ClientsAuthority;
const closers: (() => unknown)[] = [];
beforeAll(async () => {
  pulse = await TestPulse.start();
  token = await pulse.fileToken("service");
  authority = await createTestAuthority();
  stranger = await createTestAuthority("stranger");
});
afterAll(() => pulse.stop());
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function front(options: TlsFrontOptions) {
  const { port } = new URL(pulse.server.url);
  const started = await startTlsFront({ port: Number(port), ...options });
  closers.push(() => started.stop());
  return started;
}

let instances = 0;
function registration(url: string, tls: TlsSource) {
  const instanceId = `tls-${instances++}`;
  return {
    pulse: url,
    tls,
    token,
    service: { name: instanceId, type: "service" },
    identity: { instanceId, instanceSecret: "a secret of 16 or more" },
  };
}

/** The three ways to Pulse: what each does when it works, and what it says when it does not. */
const WAYS = {
  async connectPulse(url: string, tls: TlsSource): Promise<string> {
    const connection = connectPulse({ pulse: url, tls, token, retry: "never" });
    closers.push(() => connection.close());
    try {
      await connection.downloadClients.listDownloadClients({});
      return "works";
    } catch (error) {
      expect((error as ConnectError).code).toBe(Code.Unavailable);
      return (error as ConnectError).rawMessage;
    }
  },

  async registerWithRetry(url: string, tls: TlsSource): Promise<string> {
    const registering = startRegistration(registration(url, tls));
    closers.push(() => registering.close());
    return new Promise((resolve) => {
      registering.subscribe((event) => {
        if (event.type === "registered") resolve("works");
        if (event.type === "attempt-failed") resolve(ConnectError.from(event.error).rawMessage);
      });
    });
  },

  async watchDownloadClients(url: string, tls: TlsSource): Promise<string> {
    const watch = watchDownloadClients({ pulse: url, tls, token });
    closers.push(() => watch.close());
    for await (const event of watch) {
      if (event.type === "synced") return "works";
      if (event.type === "stale") return ConnectError.from(event.error).rawMessage;
    }
    return "ended";
  },
};

describe.each(Object.entries(WAYS))("%s over TLS", (_, outcome) => {
  it("works by the CA, by the pin, and with a certificate of its own", async () => {
    const certificate = await authority.server("127.0.0.1");
    const { fingerprint } = certificate;
    const plain = await front({ certificate });
    expect(await outcome(plain.url, { ca: authority.ca })).toBe("works");
    expect(await outcome(plain.url, { fingerprint })).toBe("works");
    expect(plain.received()).toContain("PRI * HTTP/2.0");
    const mutual = await front({ certificate, clientCa: stranger.ca });
    const { certificate: cert, key } = await stranger.client();
    expect(await outcome(mutual.url, () => ({ ca: authority.ca, cert, key }))).toBe("works");
    expect(await outcome(mutual.url, { ca: authority.ca })).toMatch(
      /^no connection: TLS failed: Pulse wants a client certificate/,
    );
  });

  it("sends nothing to a server that it cannot trust, and says why", async () => {
    const { ca } = authority;
    const certificate = await authority.server("127.0.0.1");
    const { fingerprint } = await selfSigned();
    const cases: [RegExp, TlsFrontOptions, TlsSource][] = [
      [/nobody who is trusted here has signed/, { certificate }, {}],
      [/nobody who is trusted here has signed/, { certificate }, { ca: stranger.ca }],
      [/is for other names/, { certificate: await authority.server("pulse.test") }, { ca }],
      [/has expired/, { certificate: await authority.expired() }, { ca }],
      [/is not the pinned one/, { certificate }, { fingerprint }],
      [/is not the pinned one/, { certificate }, { ca, fingerprint }],
    ];
    for (const [reason, options, tls] of cases) {
      const server = await front(options);
      const said = await outcome(server.url, tls);
      expect(said).toMatch(reason);
      expect(said).toMatch(/^no connection: TLS failed: /);
      expect(server.connections).toBeGreaterThan(0);
      expect(server.received()).toBe("");
    }
  });

  it("says so if the server speaks no TLS, or nothing else", async () => {
    const node = await startNode("127.0.0.1");
    closers.push(() => node.stop());
    expect(await outcome(`https://127.0.0.1:${node.port}`, {})).toMatch(/TLS failed: .*speak TLS/);
    const { port } = await front({ certificate: await authority.server("127.0.0.1") });
    const plain = { pulse: `http://127.0.0.1:${port}`, token };
    const connection = connectPulse({ ...plain, retry: "never" });
    closers.push(() => connection.close());
    await expect(connection.registry.listServices({})).rejects.toThrow(
      /no connection: .*if it speaks TLS, give its address as https/,
    );
  });
});

describe("a certificate that was renewed", () => {
  it("of the same CA: registration, watch and calls go on", async () => {
    const server = await front({ certificate: await authority.server("127.0.0.1") });
    const tls = { ca: authority.ca };
    const registered = await registerWithRetry(registration(server.url, tls));
    closers.push(() => registered.close());
    const events: RegistrationEvent["type"][] = [];
    registered.subscribe(({ type }) => events.push(type));
    const watch = watchDownloadClients({ pulse: server.url, tls, token });
    closers.push(() => watch.close());
    await eventually(() => expect(watch.current().state).toBe("live"));
    server.renew(await authority.server("127.0.0.1"));
    await eventually(() => expect(events).toContain("reconnected"));
    await eventually(() => expect(watch.current().state).toBe("live"));
    expect(await WAYS.connectPulse(server.url, tls)).toBe("works");
  });

  it("and was pinned: refused with the new fingerprint, until that is pinned", async () => {
    const first = await selfSigned();
    const next = await selfSigned();
    const server = await front({ certificate: first });
    let { fingerprint } = first;
    const log = recordingLog();
    const registered = await registerWithRetry({
      ...registration(server.url, () => ({ fingerprint })),
      log,
    });
    closers.push(() => registered.close());
    server.renew(next);
    await eventually(() =>
      expect(JSON.stringify(log.lines)).toMatch(
        new RegExp(`is not the pinned one, its SHA-256 fingerprint is ${next.fingerprint}`),
      ),
    );
    expect(registered.state).toBe("reconnecting");
    const { connections } = server;
    const received = server.received();
    await eventually(() => expect(server.connections).toBeGreaterThan(connections + 1));
    expect(server.received()).toBe(received);
    fingerprint = next.fingerprint;
    await eventually(() => expect(registered.state).toBe("registered"));
  });
});
