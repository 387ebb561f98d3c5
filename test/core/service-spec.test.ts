import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DomainError } from "../../src/core/errors.js";
import { NO_FILE_PLACES } from "../../src/core/file-places.js";
import { checkServiceSpec, type RawServiceSpec } from "../../src/core/service-spec.js";

/** 16 pairs whose keys and values have 1,024 bytes each. */
const METADATA_OF_16_KIB = Array.from({ length: 16 }, (_, n) => [
  `key${String(n).padStart(2, "0")}`,
  "€".repeat(300) + "x".repeat(119),
]);

const valid: RawServiceSpec = {
  name: "qBittorrent on the NAS",
  type: "download-client",
  kind: "qbittorrent",
  apiUrl: "http://nas:8080/qbt",
  healthUrl: "http://nas:8080/health?x=1",
  version: "4.5.2",
  capabilities: ["torrent.add", "category"],
  metadata: { "room/floor": "cellar" },
  protocol: undefined,
  ...NO_FILE_PLACES,
};

function badFields(change: Partial<RawServiceSpec>): string[] {
  try {
    checkServiceSpec({ ...valid, ...change });
    return [];
  } catch (error) {
    if (!(error instanceof DomainError) || error.refusal.kind !== "invalid") throw error;
    return error.refusal.violations.map(({ field }) => field);
  }
}

describe("a service spec", () => {
  it("is kept as sent, with its endpoint and the protocol of its kind", () => {
    expect(checkServiceSpec(valid)).toEqual({
      ...valid,
      protocol: "torrent",
      endpoint: { host: "nas", port: 8080, useSsl: false, urlBase: "/qbt" },
    });
  });

  it.each<[string, Partial<RawServiceSpec>, string]>([
    ["no name", { name: "" }, "service.name"],
    ["a name of spaces", { name: " haul" }, "service.name"],
    ["a control character in the name", { name: "ha\u0007ul" }, "service.name"],
    ["a line separator in the name", { name: "ha\u2028ul" }, "service.name"],
    ["a name of 129 characters", { name: "x".repeat(129) }, "service.name"],
    ["no type", { type: "" }, "service.type"],
    ["a type with capitals", { type: "Download-Client" }, "service.type"],
    ["no kind", { kind: "" }, "service.kind"],
    ["a kind with spaces", { kind: "my client" }, "service.kind"],
    ["no api_url", { apiUrl: "" }, "service.api_url"],
    ["an unspecified address", { apiUrl: "http://0.0.0.0:1" }, "service.api_url"],
    ["a bad health_url", { healthUrl: "ftp://nas" }, "service.health_url"],
    ["a long version", { version: "1".repeat(129) }, "service.version"],
    ["an empty capability", { capabilities: ["a", ""] }, "service.capabilities[1]"],
    ["a capability twice", { capabilities: ["a", "a"] }, "service.capabilities[1]"],
    [
      "65 capabilities",
      { capabilities: Array.from({ length: 65 }, (_, i) => `c${i}`) },
      "service.capabilities",
    ],
    ["a metadata key with spaces", { metadata: { "a b": "c" } }, "service.metadata key"],
    ["a long metadata value", { metadata: { a: "x".repeat(1_025) } }, "service.metadata[a]"],
    [
      "metadata of 16,385 bytes, some in characters of three",
      { metadata: { ...Object.fromEntries(METADATA_OF_16_KIB), x: "" } },
      "service.metadata",
    ],
    [
      "65 metadata pairs",
      { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ""])) },
      "service.metadata",
    ],
    ["the wrong protocol for a known kind", { protocol: "usenet" }, "service.protocol"],
    ["an unknown kind without protocol", { kind: "flood" }, "service.protocol"],
  ])("is refused with %s, naming the field", (_, change, field) => {
    expect(badFields(change)).toEqual([field]);
  });

  it("names all bad fields at once", () => {
    expect(badFields({ name: "", kind: "", apiUrl: "x" })).toEqual([
      "service.name",
      "service.kind",
      "service.api_url",
    ]);
  });

  it("takes an unknown kind that states its protocol", () => {
    expect(checkServiceSpec({ ...valid, kind: "flood", protocol: "torrent" }).protocol).toBe(
      "torrent",
    );
  });

  it("needs neither kind nor api_url for another type", () => {
    expect(badFields({ type: "media-manager", kind: "", apiUrl: "" })).toEqual([]);
  });

  it("counts characters, not UTF-16 units", () => {
    expect(badFields({ name: "🎬".repeat(128) })).toEqual([]);
    expect(badFields({ name: "🎬".repeat(129) })).toEqual(["service.name"]);
  });

  it("is accepted or refused, never anything else, whatever text comes", () => {
    const text = fc.string({ unit: "binary", maxLength: 200 });
    fc.assert(
      fc.property(text, text, text, text, (name, type, kind, apiUrl) => {
        badFields({ name, type, kind, apiUrl });
      }),
    );
  });
});
