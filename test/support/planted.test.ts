import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { PlantedSecrets } from "./planted.js";

const planted = new PlantedSecrets();
const secret = planted.make("secret");
const around = (text: string) => `{"a":"${text}"}`;

it.each<[string, string]>([
  ["as it is", secret],
  ["in a URL", encodeURIComponent(secret)],
  ["in a form", `${new URLSearchParams({ password: secret })}`],
  ["in JSON", JSON.stringify({ secret })],
  ["in a log line of JSON", JSON.stringify({ body: JSON.stringify({ secret }) })],
  ["in hex", Buffer.from(`x${secret}y`).toString("hex")],
  ...["", "x", "xy"].flatMap((before): [string, string][] => [
    [`in base64, ${before.length} in`, Buffer.from(`${before}${secret}yz`).toString("base64")],
    [`in base64url, ${before.length} in`, Buffer.from(before + secret).toString("base64url")],
  ]),
])("is found %s", (_, text) => {
  expect(planted.in(around(text))).not.toEqual([]);
  expect(planted.in(Buffer.concat([randomBytes(1_000), Buffer.from(text)]))).not.toEqual([]);
});

it("is found in each of its forms, and where there is none nothing is", () => {
  for (const form of planted.everyForm) expect(planted.in(form)).not.toEqual([]);
  expect(planted.in(randomBytes(100_000).toString("base64"))).toEqual([]);
  expect(planted.in(secret, /^another/)).toEqual([]);
});
