import { expect, it } from "vitest";
import { randomSecret, systemRandom } from "../../src/lib/random.js";

it("a secret is as many random bytes as asked for, as text that is safe in a URL", () => {
  const secrets = Array.from({ length: 100 }, () => randomSecret(systemRandom));
  expect(new Set(secrets).size).toBe(100);
  for (const secret of secrets) expect(secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(Buffer.from(randomSecret(systemRandom, 9), "base64url")).toHaveLength(9);
});

it("a secret is made of strong bytes alone, never of the jitter's numbers", () => {
  const onlyBytes = { ...systemRandom, next: () => expect.unreachable(), bytes: Buffer.alloc };
  expect(randomSecret(onlyBytes, 3)).toBe("AAAA");
});
