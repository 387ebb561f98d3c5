import { DomainError } from "../core/errors.js";
import { addressBlock } from "../lib/address-block.js";
import type { Clock } from "../lib/clock.js";
import type { Log } from "../lib/log.js";

export interface FailurePolicy {
  /** Calls without a valid token that an address may make at once. */
  readonly burst: number;
  /** How many more it may make in each second. */
  readonly perSecond: number;
  /** Addresses that are remembered; of more, those longest without a failure are forgotten. */
  readonly maxAddresses: number;
}

export const DEFAULT_FAILURE_POLICY: FailurePolicy = {
  burst: 20,
  perSecond: 1,
  maxAddresses: 10_000,
};

/** An address that goes on is told of once in this time. */
const LOG_EVERY_MS = 60_000;

/** Counts the calls without a valid token by the address that they come from, IPv6 by /64. */
export interface FailedAuthentications {
  /**
   * Counts one more of `address`.
   * @throws DomainError of kind `quota` if it has made too many.
   */
  spend(address: string): void;
  /** The last one was none: its token is valid after all. */
  refund(address: string): void;
}

interface Bucket {
  /** Failures that are left at `at`. */
  left: number;
  at: number;
  /** Refusals that were not told of. */
  refused: number;
  toldAt: number;
}

export function countFailedAuthentications(
  policy: FailurePolicy,
  clock: Clock,
  log: Log,
): FailedAuthentications {
  const { burst, perSecond, maxAddresses } = policy;
  /** The longest without a failure first. */
  const buckets = new Map<string, Bucket>();

  function refill(bucket: Bucket): void {
    const now = clock.now();
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) * perSecond) / 1_000);
    bucket.at = now;
  }

  function bucketOf(block: string): Bucket {
    const known = buckets.get(block);
    if (known) {
      refill(known);
      buckets.delete(block);
    } else {
      const [oldest] = buckets.size >= maxAddresses ? buckets.keys() : [];
      if (oldest !== undefined) buckets.delete(oldest);
    }
    const bucket = known ?? {
      left: burst,
      at: clock.now(),
      refused: 0,
      toldAt: Number.NEGATIVE_INFINITY,
    };
    buckets.set(block, bucket);
    return bucket;
  }

  function tell(block: string, bucket: Bucket): void {
    bucket.refused += 1;
    if (clock.now() - bucket.toldAt < LOG_EVERY_MS) return;
    log.warn({ address: block, refused: bucket.refused }, "rpc.too_many_failed_authentications");
    bucket.refused = 0;
    bucket.toldAt = clock.now();
  }

  return {
    spend(address) {
      const block = addressBlock(address);
      const bucket = bucketOf(block);
      if (bucket.left >= 1) {
        bucket.left -= 1;
        return;
      }
      tell(block, bucket);
      throw new DomainError(
        "too many calls without a valid token come from your address: send a valid one, or wait",
        {
          kind: "quota",
          reason: "TOO_MANY_FAILED_AUTHENTICATIONS",
          retryAfterMs: Math.ceil(((1 - bucket.left) * 1_000) / perSecond),
        },
      );
    },
    refund(address) {
      const bucket = buckets.get(addressBlock(address));
      if (bucket) bucket.left = Math.min(burst, bucket.left + 1);
    },
  };
}
