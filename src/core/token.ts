/** What a token may do. */
export const SCOPES = ["register", "discover", "observe", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** A bearer token as it is stored. */
export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the whole token, base64url. */
  readonly hash: string;
  /** Wall-clock ms. */
  readonly createdAt: number;
  /** Wall-clock ms; undefined while valid. */
  readonly revokedAt: number | undefined;
}

/** Whether a token with `held` may do what needs `needed`. Admin may do everything. */
export function allows(held: readonly Scope[], needed: readonly Scope[]): boolean {
  return held.includes("admin") || needed.some((scope) => held.includes(scope));
}
