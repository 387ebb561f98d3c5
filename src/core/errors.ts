/** One bad field of a request: its path in the message, and what to do about it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/**
 * Everything that Pulse refuses, and why. `status.ts` maps each kind to a gRPC
 * status; an error that is not a DomainError is a bug and leaves as INTERNAL.
 */
export type Refusal =
  | { readonly kind: "invalid"; readonly violations: readonly FieldViolation[] }
  | {
      readonly kind: "unauthenticated";
      readonly reason: "TOKEN_MISSING" | "TOKEN_INVALID" | "TOKEN_EXPIRED";
    }
  | {
      readonly kind: "denied";
      readonly reason:
        | "SCOPE_MISSING"
        | "IDENTITY_PINNED"
        | "SECRET_MISMATCH"
        | "INSTANCE_MISMATCH"
        | "JOIN_TOKEN_SPENT"
        | "IDENTITY_UNPROVEN"
        | "PASSWORD_OF_OPERATOR";
    }
  | { readonly kind: "not-found"; readonly resource: string; readonly id: string }
  | {
      readonly kind: "precondition";
      readonly reason: "TOKEN_IN_USE" | "ENTRY_DELETED" | "NO_NEW_KEY" | "KEY_FILE_CHANGED";
    }
  | { readonly kind: "conflict"; readonly reason: "ETAG_MISMATCH" }
  | {
      readonly kind: "exists";
      readonly reason: "NAME_TAKEN";
      readonly violations: readonly FieldViolation[];
    }
  | { readonly kind: "lagging" }
  | { readonly kind: "draining"; readonly retryAfterMs: number }
  | { readonly kind: "store-unavailable"; readonly retryAfterMs: number }
  | { readonly kind: "quota"; readonly reason: string; readonly retryAfterMs: number };

/** A refusal as an error. Its message is meant for the caller and holds no secret. */
export class DomainError extends Error {
  override readonly name = "DomainError";
  constructor(
    message: string,
    readonly refusal: Refusal,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function invalid(violations: readonly FieldViolation[]): DomainError {
  const message = violations.map((v) => `${v.field}: ${v.description}`).join("; ");
  return new DomainError(message, { kind: "invalid", violations });
}

/**
 * What a check returns; if it refuses, its violations are added to the others
 * instead, so that a caller learns of all of them at once.
 */
export function collect<T>(violations: FieldViolation[], check: () => T): T | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof DomainError) || error.refusal.kind !== "invalid") throw error;
    violations.push(...error.refusal.violations);
    return undefined;
  }
}

export function invalidField(field: string, description: string): DomainError {
  return invalid([{ field, description }]);
}

/** A token where its id should be is a mistake that is easily made: it is not repeated. */
const TOKEN_SECRET = /(pulse_[0-9a-f]{16}_)[A-Za-z0-9_-]{3,}/g;

/** @param what the caller may have given */
export function notFound(resource: string, id: string, what = "id"): DomainError {
  const shown = id.replace(TOKEN_SECRET, "$1…");
  return new DomainError(`there is no ${resource} with ${what} ${JSON.stringify(shown)}`, {
    kind: "not-found",
    resource,
    id: shown,
  });
}
