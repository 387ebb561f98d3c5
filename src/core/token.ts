/** What a token may do. */
export const SCOPES = ["register", "discover", "observe", "admin", "join"] as const;
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
  /** Wall-clock ms; undefined: it was not revoked. */
  readonly revokedAt: number | undefined;
  /** Wall-clock ms; undefined: it never ends by itself. */
  readonly expiresAt: number | undefined;
  /** Of a join token: how many instances may join with it; 0: any number. */
  readonly maxUses: number;
  /** Of a join token: how many instances have joined with it. */
  readonly uses: number;
  /** Of an instance's own token: the instance; empty: it is good for any. */
  readonly instanceId: string;
  /** Of an instance's own token: the join token that it was given for; else empty. */
  readonly joinedWith: string;
  /** Wall-clock ms of the last call, as last written; undefined: none. No change of it is a commit. */
  readonly lastUsedAt: number | undefined;
}

/** What a token has unless it is said otherwise: no end, no bound, no owner. */
export const PLAIN_TOKEN = {
  revokedAt: undefined,
  expiresAt: undefined,
  maxUses: 0,
  uses: 0,
  instanceId: "",
  joinedWith: "",
  lastUsedAt: undefined,
} as const satisfies Partial<TokenRecord>;

/** Instances that one join token may let in. */
export const MAX_JOINS = 100_000;

/** Whether it has ended by itself at this instant, in wall-clock ms. */
export function isExpired({ expiresAt }: Pick<TokenRecord, "expiresAt">, at: number): boolean {
  return expiresAt !== undefined && expiresAt <= at;
}

/** Whether a token with `held` may do what needs `needed`. Admin may do everything. */
export function allows(held: readonly Scope[], needed: readonly Scope[]): boolean {
  return held.includes("admin") || needed.some((scope) => held.includes(scope));
}
