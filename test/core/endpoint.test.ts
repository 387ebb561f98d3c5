import { describe, expect, it } from "vitest";
import { parseEndpoint } from "../../src/core/endpoint.js";

function parsed(url: string) {
  const result = parseEndpoint(url);
  if (!result.ok) throw new Error(result.problem);
  return result.endpoint;
}

function problem(url: string): string {
  const result = parseEndpoint(url);
  if (result.ok) throw new Error(`${url} was accepted`);
  return result.problem;
}

describe("an api_url", () => {
  it.each([
    ["http://nas", { host: "nas", port: 80, useSsl: false, urlBase: "" }],
    ["https://nas", { host: "nas", port: 443, useSsl: true, urlBase: "" }],
    ["http://nas:8080/", { host: "nas", port: 8080, useSsl: false, urlBase: "" }],
    ["HTTP://NAS:80/qbt/", { host: "nas", port: 80, useSsl: false, urlBase: "/qbt" }],
    ["https://nas:80/a/b", { host: "nas", port: 80, useSsl: true, urlBase: "/a/b" }],
    ["http://[fd00::1]:9091/x", { host: "fd00::1", port: 9091, useSsl: false, urlBase: "/x" }],
    ["http://nas/a@b", { host: "nas", port: 80, useSsl: false, urlBase: "/a@b" }],
    ["http://192.168.1.10:6800", { host: "192.168.1.10", port: 6800, useSsl: false, urlBase: "" }],
  ])("%s is taken apart", (url, endpoint) => expect(parsed(url)).toEqual(endpoint));

  it.each([
    ["http://0.0.0.0:80", /other machines can reach, not 0\.0\.0\.0/],
    ["http://0:80", /other machines can reach/],
    ["http://0x0.0.0.0", /other machines can reach/],
    ["http://[::]:80", /other machines can reach/],
    ["http://[0:0::0]", /other machines can reach/],
    ["http://[::ffff:0.0.0.0]", /other machines can reach/],
    ["http://user:pass@nas", /user-info/],
    ["http://user@nas", /user-info/],
    ["http://@nas", /user-info/],
    ["http://:@nas:80", /user-info/],
    ["http:nas", /written as http:\/\/host/],
    ["http:///nas", /written as http:\/\/host/],
    ["http:\\\\nas\\x", /written as http:\/\/host/],
    ["http://nas\\@evil", /written as http:\/\/host/],
    ["ftp://nas", /http:\/\/ or https:\/\//],
    ["nas:8080", /http:\/\/ or https:\/\//],
    ["//nas", /must be a URL/],
    ["http://", /must be a URL/],
    ["http://nas:99999", /must be a URL/],
    ["http://nas:0", /port from 1/],
    ["http://nas/a?b=c", /query/],
    ["http://nas/?", /query/],
    ["http://nas/#x", /fragment/],
    ["http://na s", /spaces/],
    ["http://nas/\u0000", /control/],
    [`http://nas/${"a".repeat(2_048)}`, /at most 2048/],
  ])("%s is refused", (url, message) => expect(problem(url)).toMatch(message));

  it("never repeats a password that stood in it", () => {
    expect(problem("http://user:hunter2secret@nas")).not.toContain("hunter2secret");
  });

  it("keeps a query where one is allowed", () => {
    expect(parseEndpoint("http://nas/health?deep=1", { allowQuery: true }).ok).toBe(true);
  });
});
