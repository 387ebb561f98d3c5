import type { ServiceImpl } from "@connectrpc/connect";
import type { SecretService } from "../../gen/pulse/v1/secret_service_pb.js";
import { DomainError } from "../core/errors.js";
import type { Log } from "../lib/log.js";
import { KeyRotationError, type Store, StoreUnavailableError } from "../store/store.js";
import type { AuditRecorder } from "./audit-recorder.js";
import { actorOf } from "./authenticate.js";
import type { ScopeTable } from "./guard.js";
import { storeUnavailable } from "./status.js";

export const SECRET_SCOPES: ScopeTable<typeof SecretService> = {
  rotateSecrets: ["admin"],
};

export interface SecretServiceOptions {
  readonly store: Pick<Store, "rotateKeys">;
  readonly audit: AuditRecorder;
  readonly log: Log;
}

export function createSecretService({
  store,
  audit,
  log,
}: SecretServiceOptions): ServiceImpl<typeof SecretService> {
  return {
    async rotateSecrets(_, context) {
      const rotation = await store
        .rotateKeys((step) => log.debug({ step }, "secrets.rotating"))
        .catch(throwAsRefusal);
      const { keyId, resealed, retiredKeyIds } = rotation;
      audit.record({
        actor: actorOf(context),
        action: "secrets rotated",
        subject: "secrets",
        subjectId: keyId,
        detail: `${resealed} texts`,
      });
      log.info({ keyId, reencrypted: resealed, retiredKeyIds }, "secrets.rotated");
      return { keyId, reencrypted: BigInt(resealed), retiredKeyIds: [...retiredKeyIds] };
    },
  };
}

function throwAsRefusal(error: unknown): never {
  if (error instanceof KeyRotationError)
    throw new DomainError(error.message, { kind: "precondition", reason: error.reason });
  if (error instanceof StoreUnavailableError)
    throw storeUnavailable(error, "call this again, and it goes on where it was");
  throw error;
}
