import { randomBytes, randomUUID } from "node:crypto";

/** Randomness, injected: `systemRandom` in production, a seeded one in tests. */
export interface Random {
  /** Uniform in [0, 1). For jitter only, never for secrets. */
  next(): number;
  /** A version 4 UUID. */
  uuid(): string;
  /** Cryptographically strong bytes. */
  bytes(length: number): Uint8Array;
}

export const systemRandom: Random = {
  next: Math.random,
  uuid: () => randomUUID(),
  bytes: (length) => randomBytes(length),
};

/** A secret of `byteLength` random bytes, as URL-safe text. */
export function randomSecret(random: Random, byteLength = 32): string {
  return Buffer.from(random.bytes(byteLength)).toString("base64url");
}
